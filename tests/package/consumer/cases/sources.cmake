# SPDX-License-Identifier: MIT
hotfix_add_patch(sent TARGET server SOURCES server.c=fixes/server_v2.c
  OUTPUT "bundles/sent it.hfx")
