# SPDX-License-Identifier: MIT
hotfix_add_patch(stale TARGET server PATCH fixes/stale.patch)
