# SPDX-License-Identifier: MIT
#
# Run PROGRAM with bundles V1 and V2; its output must be the text in EXPECTED.
execute_process(COMMAND "${PROGRAM}" "${V1}" "${V2}"
  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE errors)
file(READ "${EXPECTED}" expected)
if(NOT status STREQUAL "0" OR NOT errors STREQUAL "" OR
    NOT output STREQUAL expected)
  message(FATAL_ERROR
    "${PROGRAM}: status ${status}\n--- expected ---\n${expected}--- got ---\n${output}${errors}")
endif()
