# SPDX-License-Identifier: MIT
#
# Put the changed files of one hotfix_add_patch() into the mirror of the source
# tree, with the settings that _hfx_add_change_command() wrote. Patches are
# applied to copies in a scratch folder first: the mirror gets all or nothing.
include("${SETTINGS}")

set(scratch "${folder}/scratch")
file(REMOVE_RECURSE "${scratch}")
file(MAKE_DIRECTORY "${scratch}")
foreach(file IN LISTS changed_files)
  if(EXISTS "${base}/${file}")
    cmake_path(GET file PARENT_PATH parent)
    file(COPY "${base}/${file}" DESTINATION "${scratch}/${parent}"
      FOLLOW_SYMLINK_CHAIN)
  endif()
endforeach()
foreach(pair IN LISTS pairs)
  string(REGEX MATCH "^([^=]*)=(.*)$" _ "${pair}")
  set(old "${CMAKE_MATCH_1}")
  cmake_path(RELATIVE_PATH old BASE_DIRECTORY "${base}")
  file(COPY_FILE "${CMAKE_MATCH_2}" "${scratch}/${old}")
endforeach()
foreach(patch IN LISTS patches)
  execute_process(
    COMMAND "${HFX_PATCH_PROGRAM}" --batch --forward --silent --fuzz=0
      --no-backup-if-mismatch --reject-file=- -p1 -i "${patch}"
    WORKING_DIRECTORY "${scratch}"
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status STREQUAL "0")
    message(FATAL_ERROR
      "hot-fix ${name}: ${patch} does not apply to ${base}; refresh it against the present sources.\n${output}")
  endif()
endforeach()

foreach(file IN LISTS changed_files)
  # Also a link from before this file was changed.
  file(REMOVE "${mirror}/${file}")
  if(EXISTS "${scratch}/${file}")
    cmake_path(GET file PARENT_PATH parent)
    file(MAKE_DIRECTORY "${mirror}/${parent}")
    file(COPY_FILE "${scratch}/${file}" "${mirror}/${file}")
    file(TOUCH "${mirror}/${file}")
  endif()
endforeach()
file(REMOVE_RECURSE "${scratch}")
