# SPDX-License-Identifier: MIT
hotfix_add_patch(comment TARGET server PATCH fixes/comment.patch)
