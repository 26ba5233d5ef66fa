# SPDX-License-Identifier: MIT
hotfix_add_patch(hours TARGET greeting PATCH fixes/greeting.patch)
