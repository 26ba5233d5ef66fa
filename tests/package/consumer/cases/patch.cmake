# SPDX-License-Identifier: MIT
hotfix_add_patch(louder TARGET server PATCH fixes/server.patch
  VERSION 1.2 DESCRIPTION "A louder answer; with \"marks\" and $signs")
