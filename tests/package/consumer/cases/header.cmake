# SPDX-License-Identifier: MIT
hotfix_add_patch(shorter TARGET server
  PATCH fixes/header.patch fixes/server.patch)
