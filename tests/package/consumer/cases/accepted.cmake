# SPDX-License-Identifier: MIT
#
# The user has seen that these may change, and does not want them all.
add_executable(counter accepted/counter.c)
hotfix_enable(counter)
hotfix_add_patch(counted TARGET counter
  SOURCES accepted/counter.c=accepted/counter_v2.c
  ACCEPT_TYPE step ACCEPT_DATA start SKIP say)
