# SPDX-License-Identifier: MIT
#
# hfx_embed(TARGET NAME FILE): the bytes of FILE as a constant array in TARGET.
#
#	extern const char NAME[];	NUL-terminated
#
# Run as a script, it writes the source file:
#
#	cmake -DNAME=... -DINPUT=... -DOUTPUT=... -P HfxEmbed.cmake

if(CMAKE_SCRIPT_MODE_FILE)
  file(READ "${INPUT}" bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))"
    "\\1\n" bytes "${bytes}")
  file(WRITE "${OUTPUT}"
    "extern const char ${NAME}[];\nconst char ${NAME}[] = {\n${bytes}0};\n")
  return()
endif()

set(HFX_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

function(hfx_embed target name file)
  set(output "${CMAKE_CURRENT_BINARY_DIR}/${name}.c")
  add_custom_command(OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DNAME=${name}"
      "-DINPUT=${CMAKE_CURRENT_SOURCE_DIR}/${file}" "-DOUTPUT=${output}"
      -P "${HFX_EMBED_SCRIPT}"
    DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${file}" "${HFX_EMBED_SCRIPT}"
    COMMENT "Embedding ${file}" VERBATIM)
  target_sources(${target} PRIVATE "${output}")
endfunction()
