# SPDX-License-Identifier: MIT
hotfix_add_patch(since_release TARGET server BASELINE "${BASELINE}"
  VERSION "${VERSION}")
