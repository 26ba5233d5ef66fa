# SPDX-License-Identifier: MIT
#
# A thread's variables cannot be given to threads that run already.
hotfix_add_patch(refused TARGET server SOURCES server.c=fixes/server_tls.c)
