# SPDX-License-Identifier: MIT
#
# Run hfx-bundle for one hotfix_add_patch(), with the settings that
# _hfx_add_bundle_command() wrote, and say what its exit status means.
include("${SETTINGS}")

set(options "")
foreach(option VERSION DESCRIPTION)
  if(DEFINED arg_${option})
    string(TOLOWER "--${option}" flag)
    string(REPLACE ";" "\\;" value "${arg_${option}}")
    list(APPEND options "${flag}" "${value}")
  endif()
endforeach()
foreach(option ACCEPT_TYPE ACCEPT_DATA ONLY SKIP)
  string(TOLOWER "--${option}" flag)
  string(REPLACE "_" "-" flag "${flag}")
  foreach(value IN LISTS arg_${option})
    list(APPEND options "${flag}" "${value}")
  endforeach()
endforeach()
cmake_path(GET arg_OUTPUT PARENT_PATH output_folder)
file(MAKE_DIRECTORY "${output_folder}")
execute_process(
  COMMAND "${bundler}" diff "${old}" "${new}" -o "${arg_OUTPUT}"
    --name "${name}" ${options}
  RESULT_VARIABLE status)
if(status STREQUAL "0")
  return()
endif()

# A bundle of an earlier build must not be taken for one of this build.
file(REMOVE "${arg_OUTPUT}")
if(DEFINED arg_BASELINE)
  set(versions "the baseline ${old} and the present ${arg_TARGET}")
else()
  set(versions "${arg_TARGET} and its patched variant")
endif()
if(status STREQUAL "3")
  message(FATAL_ERROR
    "hot-fix ${name}: no function differs between ${versions}, so there is nothing to bundle. Change the code, or remove hotfix_add_patch(${name}).")
elseif(status STREQUAL "1")
  message(FATAL_ERROR
    "hot-fix ${name}: refused as unsafe; hfx-bundle lists the reasons above. No bundle was made from ${versions}.")
else()
  message(FATAL_ERROR
    "hot-fix ${name}: hfx-bundle failed (${status}) on ${versions}; its message is above.")
endif()
