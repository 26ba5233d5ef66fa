# SPDX-License-Identifier: MIT
#
# A library that uses much of what CMake has, with one patch that changes every
# header it includes and one that changes a comment. PATCH chooses.
add_custom_command(OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/gen/generated.c"
  COMMAND "${CMAKE_COMMAND}" -E copy "${CMAKE_CURRENT_SOURCE_DIR}/rich/gen.c.in"
    "${CMAKE_CURRENT_BINARY_DIR}/gen/generated.c"
  DEPENDS rich/gen.c.in)
add_library(rich_objects OBJECT rich/object.c)
set_target_properties(rich_objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
add_library(rich_usage INTERFACE)
target_include_directories(rich_usage INTERFACE
  "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/rich/usage>")
target_compile_definitions(rich_usage INTERFACE FROM_USAGE=2)

add_definitions(-DFROM_DIRECTORY=1)
include_directories(rich/first)
add_library(rich SHARED rich/rich.c rich/sub/other.c
  "${CMAKE_CURRENT_BINARY_DIR}/gen/generated.c"
  $<TARGET_OBJECTS:rich_objects>)
hotfix_add_patch(rich_fix TARGET rich PATCH "${PATCH}")

# Said after hotfix_add_patch(), and taken over all the same.
target_link_libraries(rich rich_usage m)
target_compile_definitions(rich PRIVATE "FROM_TARGET=\"a text\"")
target_compile_options(rich PRIVATE "$<$<COMPILE_LANGUAGE:C>:-fno-inline>" -g)
target_link_options(rich PRIVATE LINKER:-z,now)
set_source_files_properties(rich/sub/other.c PROPERTIES
  COMPILE_OPTIONS -O1
  INCLUDE_DIRECTORIES "${CMAKE_CURRENT_SOURCE_DIR}/rich/own")
set_target_properties(rich PROPERTIES
  VERSION 1.2 SOVERSION 1 C_STANDARD 11 C_VISIBILITY_PRESET hidden)
hotfix_enable(rich)

add_executable(rich_main rich/main.c)
target_link_libraries(rich_main rich)
