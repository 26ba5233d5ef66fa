# SPDX-License-Identifier: MIT
#
# hotfix_enable() and hotfix_add_patch(): docs/cmake.md says how to use them.
#
# The second build of hotfix_add_patch(... PATCH|SOURCES ...) compiles from a
# mirror of the source tree in the build tree: symbolic links to the files as
# they are, and the patched files in their places. So a file that includes
# "x.h" from its own folder sees the patched x.h, whichever file that is. The
# compiler is told to call the mirror by the name of the source tree
# (-ffile-prefix-map), so that __FILE__ and debug information do not differ.
include_guard(GLOBAL)

set(_hfx_scripts "${CMAKE_CURRENT_LIST_DIR}" CACHE INTERNAL
  "Folder of hfx's build scripts")

# What the patched build takes over from the target.
set(_hfx_target_properties
  BUILD_RPATH BUILD_WITH_INSTALL_RPATH COMPILE_DEFINITIONS COMPILE_FEATURES
  COMPILE_FLAGS COMPILE_OPTIONS COMPILE_WARNING_AS_ERROR
  C_COMPILER_LAUNCHER C_EXTENSIONS C_STANDARD C_STANDARD_REQUIRED
  C_VISIBILITY_PRESET
  CXX_COMPILER_LAUNCHER CXX_EXTENSIONS CXX_STANDARD CXX_STANDARD_REQUIRED
  CXX_VISIBILITY_PRESET
  DEFINE_SYMBOL ENABLE_EXPORTS INCLUDE_DIRECTORIES
  INSTALL_RPATH INSTALL_RPATH_USE_LINK_PATH
  INTERPROCEDURAL_OPTIMIZATION LIBRARY_OUTPUT_NAME LINKER_LANGUAGE
  LINK_DEPENDS LINK_DIRECTORIES LINK_FLAGS LINK_LIBRARIES
  LINK_OPTIONS LINK_SEARCH_END_STATIC LINK_SEARCH_START_STATIC NO_SONAME
  OUTPUT_NAME POSITION_INDEPENDENT_CODE PREFIX
  RUNTIME_OUTPUT_NAME SKIP_BUILD_RPATH SOVERSION STATIC_LIBRARY_OPTIONS
  SUFFIX VERSION VISIBILITY_INLINES_HIDDEN
  CACHE INTERNAL "")
set(_hfx_config_properties
  _POSTFIX COMPILE_DEFINITIONS_ INTERPROCEDURAL_OPTIMIZATION_ LINK_FLAGS_
  OUTPUT_NAME_
  CACHE INTERNAL "")
set(_hfx_source_properties
  COMPILE_DEFINITIONS COMPILE_FLAGS COMPILE_OPTIONS EXTERNAL_OBJECT
  HEADER_FILE_ONLY LANGUAGE OBJECT_DEPENDS
  CACHE INTERNAL "")

# ---- hotfix_enable ------------------------------------------------------

function(hotfix_enable)
  if(NOT ARGC EQUAL 1)
    message(FATAL_ERROR
      "hotfix_enable: give exactly one target: hotfix_enable(TARGET)")
  endif()
  set(target "${ARGV0}")
  _hfx_check_target("hotfix_enable" "${target}")
  if(NOT TARGET hfx::hfx)
    message(FATAL_ERROR
      "hotfix_enable: there is no target hfx::hfx; call find_package(hfx CONFIG REQUIRED) or add_subdirectory(hfx) first")
  endif()
  # As properties: target_link_libraries() would forbid the caller to use its
  # other signature on this target.
  set_property(TARGET "${target}" APPEND PROPERTY LINK_LIBRARIES hfx::hfx)
  set_property(TARGET "${target}" APPEND PROPERTY
    LINK_OPTIONS "LINKER:--build-id")
  foreach(language C CXX)
    _hfx_add_debug_option("${target}" "${language}")
  endforeach()
endfunction()

function(_hfx_add_debug_option target language)
  get_target_property(options "${target}" COMPILE_OPTIONS)
  foreach(config IN LISTS CMAKE_BUILD_TYPE CMAKE_CONFIGURATION_TYPES ITEMS "")
    string(TOUPPER "${config}" upper)
    set(flags "${CMAKE_${language}_FLAGS} ${CMAKE_${language}_FLAGS_${upper}}")
    if("${flags} ${options}" MATCHES "(^|[ ;])-g")
      continue()
    endif()
    if(config STREQUAL "" AND (CMAKE_BUILD_TYPE OR CMAKE_CONFIGURATION_TYPES))
      continue()
    endif()
    set_property(TARGET "${target}" APPEND PROPERTY COMPILE_OPTIONS
      "$<$<AND:$<COMPILE_LANGUAGE:${language}>,$<CONFIG:${config}>>:-g>")
  endforeach()
endfunction()

function(_hfx_check_target function target)
  if(NOT TARGET "${target}")
    message(FATAL_ERROR
      "${function}: there is no target '${target}'; call it after add_executable() or add_library()")
  endif()
  get_target_property(type "${target}" TYPE)
  get_target_property(imported "${target}" IMPORTED)
  if(imported OR NOT type MATCHES "^(EXECUTABLE|(SHARED|MODULE)_LIBRARY)$")
    message(FATAL_ERROR
      "${function}: target '${target}' is not built here as a program, shared library or module; give the target that links it")
  endif()
endfunction()

# ---- hotfix_add_patch ---------------------------------------------------

function(hotfix_add_patch)
  cmake_parse_arguments(PARSE_ARGV 1 arg ""
    "TARGET;BASELINE;VERSION;DESCRIPTION;OUTPUT"
    "PATCH;SOURCES;ACCEPT_TYPE;ACCEPT_DATA;ONLY;SKIP")
  set(name "${ARGV0}")
  _hfx_check_patch_arguments()
  _hfx_find_bundler(bundler)
  if(NOT DEFINED arg_OUTPUT)
    set(arg_OUTPUT "${name}.hfx")
  endif()
  cmake_path(ABSOLUTE_PATH arg_OUTPUT
    BASE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}" NORMALIZE)

  if(DEFINED arg_BASELINE)
    _hfx_resolve_baseline(old)
    set(new "$<TARGET_FILE:${arg_TARGET}>")
  else()
    _hfx_check_same_directory()
    _hfx_plan_changes()
    set(old "$<TARGET_FILE:${arg_TARGET}>")
    set(new "$<TARGET_FILE:${name}_patched>")
    # At the end of the directory the target has its last properties.
    cmake_language(EVAL CODE "
      cmake_language(DEFER CALL _hfx_add_patched_target
        [==[${name}]==] [==[${arg_TARGET}]==] [==[${base}]==]
        [==[${changed_files}]==] [==[${arg_PATCH}]==] [==[${arg_SOURCES}]==])")
  endif()
  _hfx_add_bundle_command()
endfunction()

# End with the arguments as one text, whose `;` stay.
function(_hfx_fail)
  set(text "hotfix_add_patch(${name}): ")
  math(EXPR last "${ARGC} - 1")
  foreach(i RANGE ${last})
    string(APPEND text "${ARGV${i}}")
  endforeach()
  message(FATAL_ERROR "${text}")
endfunction()

function(_hfx_check_patch_arguments)
  if("${name}" MATCHES "^(TARGET|BASELINE|PATCH|SOURCES|VERSION|DESCRIPTION|OUTPUT|ACCEPT_TYPE|ACCEPT_DATA|ONLY|SKIP|)$")
    message(FATAL_ERROR
      "hotfix_add_patch: the patch's name comes first: hotfix_add_patch(NAME TARGET ...)")
  endif()
  if(NOT "${name}" MATCHES "^[A-Za-z0-9][A-Za-z0-9_.+-]*$")
    _hfx_fail("the name may hold letters, digits and _.+- and starts with a "
      "letter or digit, because it names a target, a file and the patch")
  endif()
  if(DEFINED arg_UNPARSED_ARGUMENTS)
    _hfx_fail("unknown argument '${arg_UNPARSED_ARGUMENTS}'; known are TARGET, "
      "BASELINE, PATCH, SOURCES, VERSION, DESCRIPTION, OUTPUT, ACCEPT_TYPE, "
      "ACCEPT_DATA, ONLY and SKIP")
  endif()
  if(DEFINED arg_KEYWORDS_MISSING_VALUES)
    _hfx_fail("${arg_KEYWORDS_MISSING_VALUES} has no value; give one or leave "
      "it out")
  endif()
  if(NOT DEFINED arg_TARGET)
    _hfx_fail("TARGET is missing; add TARGET and the program or library to "
      "patch")
  endif()
  _hfx_check_target("hotfix_add_patch(${name})" "${arg_TARGET}")
  set(forms "")
  foreach(form BASELINE PATCH SOURCES)
    if(DEFINED arg_${form})
      list(APPEND forms ${form})
    endif()
  endforeach()
  if(forms STREQUAL "")
    _hfx_fail("nothing to compare with; add BASELINE and the archived build, "
      "or PATCH and patch files, or SOURCES old.c=new.c")
  endif()
  if("BASELINE" IN_LIST forms AND NOT forms STREQUAL "BASELINE")
    list(JOIN forms " and " forms)
    _hfx_fail("${forms} exclude each other; keep BASELINE to compare with an "
      "archived build, or the others to build both versions here")
  endif()
  foreach(taken "${name}" "${name}_patched")
    if(TARGET "${taken}")
      _hfx_fail("there is a target '${taken}' already; choose another name")
    endif()
  endforeach()
  get_property(multi GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
  if(multi)
    _hfx_fail("generator '${CMAKE_GENERATOR}' builds several configurations in "
      "one tree; use 'Ninja' or 'Unix Makefiles'")
  endif()
endfunction()

function(_hfx_find_bundler ret)
  foreach(candidate hfx::hfx-bundle hfx-bundle)
    if(TARGET "${candidate}")
      set(${ret} "$<TARGET_FILE:${candidate}>" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  _hfx_fail("there is no target hfx::hfx-bundle; call find_package(hfx CONFIG "
    "REQUIRED) or add_subdirectory(hfx) first")
endfunction()

function(_hfx_resolve_baseline ret)
  set(path "${arg_BASELINE}")
  if(NOT path MATCHES "\\$<")
    cmake_path(ABSOLUTE_PATH path NORMALIZE)
    get_source_file_property(generated "${path}" GENERATED)
    if(NOT EXISTS "${path}" AND NOT generated)
      _hfx_fail("BASELINE ${path} does not exist; give the file that runs in "
        "production, or an output of add_custom_command()")
    endif()
    if(IS_DIRECTORY "${path}")
      _hfx_fail("BASELINE ${path} is a folder; give the file in it that was "
        "built from ${arg_TARGET}")
    endif()
  endif()
  set(${ret} "${path}" PARENT_SCOPE)
endfunction()

function(_hfx_check_same_directory)
  get_target_property(source_dir "${arg_TARGET}" SOURCE_DIR)
  if(NOT source_dir STREQUAL CMAKE_CURRENT_SOURCE_DIR)
    _hfx_fail("PATCH and SOURCES build ${arg_TARGET} once more, with the flags "
      "of its own directory; move this call to ${source_dir}/CMakeLists.txt")
  endif()
endfunction()

# Add the command that makes the bundle, and the target that stands for it.
function(_hfx_add_bundle_command)
  set(settings "${CMAKE_CURRENT_BINARY_DIR}/hfx/${name}/bundle.cmake")
  set(content "")
  foreach(setting name arg_TARGET arg_BASELINE arg_OUTPUT arg_VERSION
      arg_DESCRIPTION arg_ACCEPT_TYPE arg_ACCEPT_DATA arg_ONLY arg_SKIP)
    if(DEFINED ${setting})
      string(APPEND content "set(${setting} [==[${${setting}}]==])\n")
    endif()
  endforeach()
  # The settings are a file, so that changing one makes the bundle anew with
  # every generator. Files of targets stand in the command, so that it waits
  # for those targets.
  file(GENERATE OUTPUT "${settings}" CONTENT "${content}")
  add_custom_command(OUTPUT "${arg_OUTPUT}"
    COMMAND "${CMAKE_COMMAND}" -D "SETTINGS=${settings}"
      -D "bundler=${bundler}" -D "old=${old}" -D "new=${new}"
      -P "${_hfx_scripts}/hfx-make-bundle.cmake"
    DEPENDS "${old}" "${new}" "${bundler}" "${settings}"
      "${_hfx_scripts}/hfx-make-bundle.cmake"
    COMMENT "Making hot-fix ${name}"
    VERBATIM)
  add_custom_target("${name}" ALL DEPENDS "${arg_OUTPUT}")
  set_property(TARGET "${name}" PROPERTY HFX_BUNDLE "${arg_OUTPUT}")
endfunction()

# ---- PATCH and SOURCES: which files change ------------------------------

# Set for the caller: arg_PATCH with absolute paths, arg_SOURCES as pairs of
# absolute paths, `base`: the folder to mirror, and `changed_files` in it.
function(_hfx_plan_changes)
  set(patch_files "")
  set(changed_files "")
  set(existing_files "")
  foreach(patch IN LISTS arg_PATCH)
    cmake_path(ABSOLUTE_PATH patch NORMALIZE)
    _hfx_read_patch("${patch}")
    list(APPEND patch_files "${patch}")
  endforeach()
  if(patch_files)
    find_program(HFX_PATCH_PROGRAM patch)
    if(NOT HFX_PATCH_PROGRAM)
      _hfx_fail("PATCH needs the program 'patch'; apt-get install patch")
    endif()
  endif()
  set(pairs "")
  foreach(pair IN LISTS arg_SOURCES)
    _hfx_read_pair("${pair}")
  endforeach()
  _hfx_find_base()
  foreach(pair IN LISTS pairs)
    string(REGEX REPLACE "=.*" "" old "${pair}")
    cmake_path(RELATIVE_PATH old BASE_DIRECTORY "${base}")
    list(APPEND changed_files "${old}")
  endforeach()
  list(REMOVE_DUPLICATES changed_files)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${patch_files})
  set(arg_PATCH "${patch_files}" PARENT_SCOPE)
  set(arg_SOURCES "${pairs}" PARENT_SCOPE)
  set(base "${base}" PARENT_SCOPE)
  set(changed_files "${changed_files}" PARENT_SCOPE)
endfunction()

# Append the files that `patch` changes to `changed_files`.
function(_hfx_read_patch patch)
  if(NOT EXISTS "${patch}")
    _hfx_fail("PATCH ${patch} does not exist")
  endif()
  file(READ "${patch}" text)
  # `[` and `;` would be taken for parts of a list.
  string(REGEX REPLACE "[][;]" "_" text "${text}")
  string(REGEX MATCHALL "(^|\n)--- [^\n]+\n\\+\\+\\+ [^\n]+\n@@ " heads "${text}")
  if(heads STREQUAL "")
    _hfx_fail("PATCH ${patch} is not a unified diff; make it with 'git diff' "
      "or 'diff -u'")
  endif()
  foreach(head IN LISTS heads)
    string(REGEX MATCH "--- ([^\t\n]+)[^\n]*\n\\+\\+\\+ ([^\t\n]+)" _ "${head}")
    set(from "${CMAKE_MATCH_1}")
    set(path "${CMAKE_MATCH_2}")
    if(path STREQUAL "/dev/null")
      set(path "${from}")
    endif()
    string(REGEX MATCH "^[^/]*/(.*)$" _ "${path}")
    set(path "${CMAKE_MATCH_1}")
    list(APPEND changed_files "${path}")
    if(NOT from STREQUAL "/dev/null")
      list(APPEND existing_files "${path}")
    endif()
  endforeach()
  set(changed_files "${changed_files}" PARENT_SCOPE)
  set(existing_files "${existing_files}" PARENT_SCOPE)
endfunction()

# Append one OLD=NEW of SOURCES to `pairs`.
function(_hfx_read_pair pair)
  if(NOT pair MATCHES "^([^=]+)=([^=]+)$")
    _hfx_fail("SOURCES '${pair}' is not of the form old.c=new.c")
  endif()
  set(old "${CMAKE_MATCH_1}")
  set(new "${CMAKE_MATCH_2}")
  cmake_path(ABSOLUTE_PATH old NORMALIZE)
  cmake_path(ABSOLUTE_PATH new NORMALIZE)
  if(NOT EXISTS "${new}")
    _hfx_fail("SOURCES ${pair}: ${new} does not exist")
  endif()
  if(NOT EXISTS "${old}")
    _hfx_fail("SOURCES ${pair}: ${old} does not exist")
  endif()
  list(APPEND pairs "${old}=${new}")
  set(pairs "${pairs}" PARENT_SCOPE)
endfunction()

# Set `base` to the folder to mirror: the target's own, or the nearest above it
# in the project that has all files.
function(_hfx_find_base)
  set(base "${CMAKE_CURRENT_SOURCE_DIR}")
  while(TRUE)
    set(missing "")
    foreach(path IN LISTS existing_files)
      if(NOT EXISTS "${base}/${path}")
        list(APPEND missing "${path}")
      endif()
    endforeach()
    foreach(pair IN LISTS pairs)
      string(REGEX REPLACE "=.*" "" old "${pair}")
      cmake_path(IS_PREFIX base "${old}" inside)
      if(NOT inside)
        list(APPEND missing "${old}")
      endif()
    endforeach()
    if(missing STREQUAL "")
      break()
    endif()
    if(base STREQUAL CMAKE_SOURCE_DIR)
      list(JOIN missing ", " missing)
      _hfx_fail("not found in ${CMAKE_CURRENT_SOURCE_DIR} or above it in the "
        "project: ${missing}; file names in a PATCH are taken as 'patch -p1' "
        "takes them, from one folder for all patches")
    endif()
    cmake_path(GET base PARENT_PATH base)
  endwhile()
  set(base "${base}" PARENT_SCOPE)
endfunction()

# ---- PATCH and SOURCES: the second target -------------------------------

# Runs at the end of the directory. Adds NAME_patched.
function(_hfx_add_patched_target name target base changed_files patches pairs)
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/hfx/${name}")
  # Below the mirror's root, files have the absolute paths of their originals.
  set(mirror_root "${folder}/source")
  set(mirror "${mirror_root}${base}")
  set(patched "${name}_patched")
  _hfx_check_patchable()
  _hfx_link_mirror("")
  _hfx_add_change_command()

  get_target_property(type "${target}" TYPE)
  if(type STREQUAL "EXECUTABLE")
    add_executable("${patched}" EXCLUDE_FROM_ALL)
  elseif(type STREQUAL "SHARED_LIBRARY")
    add_library("${patched}" SHARED EXCLUDE_FROM_ALL)
  else()
    add_library("${patched}" MODULE EXCLUDE_FROM_ALL)
  endif()
  _hfx_copy_target_properties()
  _hfx_add_mirrored_sources()
  # Name the mirror as the source tree in all output. Ninja names files in the
  # build tree relative to it.
  cmake_path(RELATIVE_PATH mirror BASE_DIRECTORY "${CMAKE_BINARY_DIR}"
    OUTPUT_VARIABLE relative_mirror)
  set_property(TARGET "${patched}" APPEND PROPERTY COMPILE_OPTIONS
    "-ffile-prefix-map=${mirror}=${base}"
    "-ffile-prefix-map=${relative_mirror}=${base}")
  # Generated sources belong to both targets: not at the same time.
  add_dependencies("${patched}" "${target}")
  get_target_property(dependencies "${target}" MANUALLY_ADDED_DEPENDENCIES)
  if(dependencies)
    add_dependencies("${patched}" ${dependencies})
  endif()
endfunction()

function(_hfx_check_patchable)
  get_target_property(sources "${target}" SOURCES)
  foreach(source IN LISTS sources)
    if(source MATCHES "\\$<" AND NOT source MATCHES "^\\$<TARGET_OBJECTS:[^<]*>$")
      _hfx_fail("source '${source}' of ${target} is a generator expression, "
        "which PATCH and SOURCES cannot follow; list the file itself, or use "
        "BASELINE")
    endif()
  endforeach()
  foreach(property UNITY_BUILD PRECOMPILE_HEADERS)
    get_target_property(value "${target}" ${property})
    if(value)
      _hfx_fail("${target} uses ${property}, which hides its sources from "
        "PATCH and SOURCES; use BASELINE")
    endif()
  endforeach()
  # A replaced source that is not compiled would change nothing in silence.
  get_target_property(source_dir "${target}" SOURCE_DIR)
  foreach(pair IN LISTS pairs)
    string(REGEX REPLACE "=.*" "" old "${pair}")
    set(found FALSE)
    foreach(source IN LISTS sources)
      cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${source_dir}" NORMALIZE)
      if(source STREQUAL old)
        set(found TRUE)
      endif()
    endforeach()
    if(NOT found AND NOT old MATCHES "\\.(h|hh|hpp|hxx|inc|inl|ipp|tcc)$")
      _hfx_fail("SOURCES: ${old} is not a source of ${target}; its sources "
        "are: ${sources}")
    endif()
  endforeach()
endfunction()

# Make `mirror`/`subdir` a folder of links to the files of `base`/`subdir`.
# Folders are real, because "../x.h" behind a link to a folder would lead back
# to the source tree. Hidden folders and build trees are left out.
function(_hfx_link_mirror subdir)
  file(MAKE_DIRECTORY "${mirror}/${subdir}")
  file(GLOB entries CONFIGURE_DEPENDS LIST_DIRECTORIES TRUE
    RELATIVE "${base}" "${base}/${subdir}*")
  foreach(entry IN LISTS entries)
    if(IS_DIRECTORY "${base}/${entry}")
      if(entry MATCHES "(^|/)\\.[^/]*$" OR EXISTS "${base}/${entry}/CMakeCache.txt"
          OR "${base}/${entry}" STREQUAL CMAKE_BINARY_DIR
          OR "${base}/${entry}" STREQUAL CMAKE_CURRENT_BINARY_DIR)
        continue()
      endif()
      _hfx_link_mirror("${entry}/")
    elseif(NOT entry IN_LIST changed_files
        AND NOT IS_SYMLINK "${mirror}/${entry}")
      file(CREATE_LINK "${base}/${entry}" "${mirror}/${entry}" SYMBOLIC)
    endif()
  endforeach()
endfunction()

# Add the command that puts the changed files into the mirror.
function(_hfx_add_change_command)
  set(settings "${folder}/change.cmake")
  set(inputs ${patches})
  set(outputs "")
  foreach(pair IN LISTS pairs)
    string(REGEX REPLACE "^[^=]*=" "" new "${pair}")
    list(APPEND inputs "${new}")
  endforeach()
  foreach(file IN LISTS changed_files)
    list(APPEND outputs "${mirror}/${file}")
    if(EXISTS "${base}/${file}")
      list(APPEND inputs "${base}/${file}")
    endif()
  endforeach()
  set(content "")
  foreach(setting name base folder mirror changed_files patches pairs
      HFX_PATCH_PROGRAM)
    string(APPEND content "set(${setting} [==[${${setting}}]==])\n")
  endforeach()
  file(GENERATE OUTPUT "${settings}" CONTENT "${content}")
  add_custom_command(OUTPUT ${outputs}
    COMMAND "${CMAKE_COMMAND}" -D "SETTINGS=${settings}"
      -P "${_hfx_scripts}/hfx-change-sources.cmake"
    DEPENDS ${inputs} "${settings}" "${_hfx_scripts}/hfx-change-sources.cmake"
    COMMENT "Changing sources for ${name}"
    VERBATIM)
endfunction()

function(_hfx_copy_target_properties)
  set(properties ${_hfx_target_properties})
  string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
  if(config)
    foreach(property IN LISTS _hfx_config_properties)
      if(property MATCHES "^_")
        list(APPEND properties "${config}${property}")
      else()
        list(APPEND properties "${property}${config}")
      endif()
    endforeach()
  endif()
  foreach(property IN LISTS properties)
    get_property(is_set TARGET "${target}" PROPERTY ${property} SET)
    if(is_set)
      get_property(value TARGET "${target}" PROPERTY ${property})
      set_property(TARGET "${patched}" PROPERTY ${property} "${value}")
    endif()
  endforeach()
  # What follows from the target's name by default.
  get_target_property(output_name "${target}" OUTPUT_NAME)
  if(NOT output_name)
    set_property(TARGET "${patched}" PROPERTY OUTPUT_NAME "${target}")
  endif()
  get_target_property(symbol "${target}" DEFINE_SYMBOL)
  if(NOT symbol)
    string(MAKE_C_IDENTIFIER "${target}_EXPORTS" symbol)
    set_property(TARGET "${patched}" PROPERTY DEFINE_SYMBOL "${symbol}")
  endif()
  set_target_properties("${patched}" PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${folder}/build"
    LIBRARY_OUTPUT_DIRECTORY "${folder}/build"
    EXPORT_COMPILE_COMMANDS OFF)
endfunction()

# Give `patched` the sources of `target`, those below `base` from the mirror.
function(_hfx_add_mirrored_sources)
  get_target_property(sources "${target}" SOURCES)
  get_target_property(source_dir "${target}" SOURCE_DIR)
  foreach(source IN LISTS sources)
    if(source MATCHES "^\\$<")
      target_sources("${patched}" PRIVATE "${source}")
      continue()
    endif()
    set(path "${source}")
    cmake_path(ABSOLUTE_PATH path BASE_DIRECTORY "${source_dir}" NORMALIZE)
    cmake_path(IS_PREFIX base "${path}" inside)
    cmake_path(IS_PREFIX CMAKE_BINARY_DIR "${path}" built)
    get_source_file_property(generated "${source}" GENERATED)
    if(generated OR built OR NOT inside)
      target_sources("${patched}" PRIVATE "${source}")
      continue()
    endif()
    cmake_path(RELATIVE_PATH path BASE_DIRECTORY "${base}"
      OUTPUT_VARIABLE relative)
    target_sources("${patched}" PRIVATE "${mirror}/${relative}")
    _hfx_copy_source_properties("${source}" "${mirror}/${relative}")
  endforeach()
  # Changed files that are not sources, headers above all, are made before
  # anything is compiled because they are listed.
  get_target_property(sources "${patched}" SOURCES)
  foreach(file IN LISTS changed_files)
    if(NOT "${mirror}/${file}" IN_LIST sources)
      target_sources("${patched}" PRIVATE "${mirror}/${file}")
      set_source_files_properties("${mirror}/${file}" PROPERTIES
        HEADER_FILE_ONLY TRUE)
    endif()
  endforeach()
endfunction()

function(_hfx_copy_source_properties from to)
  foreach(property IN LISTS _hfx_source_properties)
    get_property(value SOURCE "${from}" PROPERTY ${property})
    get_property(present SOURCE "${to}" PROPERTY ${property})
    if(NOT value STREQUAL present)
      set_property(SOURCE "${to}" PROPERTY ${property} "${value}")
    endif()
  endforeach()
  # As a property of the source they come before the target's. In that of the
  # target they would hide it from CMake what the linked libraries add.
  get_property(own SOURCE "${from}" PROPERTY INCLUDE_DIRECTORIES)
  _hfx_mirrored_dirs(mirrored_own "${own}")
  _hfx_mirrored_dirs(mirrored "$<TARGET_PROPERTY:${target},INCLUDE_DIRECTORIES>")
  set_property(SOURCE "${to}" PROPERTY INCLUDE_DIRECTORIES
    "${mirrored_own}" "${own}" "${mirrored}")
endfunction()

# Set `ret` to an expression for the mirror's folders of those in `dirs`, which
# may hold expressions, that lie below `base`.
function(_hfx_mirrored_dirs ret dirs)
  _hfx_escape_regex(base_regex "${base}")
  _hfx_escape_regex(binary_regex "${CMAKE_BINARY_DIR}")
  set(inside "$<FILTER:${dirs},INCLUDE,^${base_regex}(/|$)>")
  set(inside "$<FILTER:${inside},EXCLUDE,^${binary_regex}(/|$)>")
  # Named once: a second time, CMake would not follow linked libraries again.
  # So where nothing is inside, the root itself is left, which has no headers.
  set(${ret} "${mirror_root}$<JOIN:${inside},$<SEMICOLON>${mirror_root}>"
    PARENT_SCOPE)
endfunction()

function(_hfx_escape_regex ret text)
  string(REGEX REPLACE "([][+.*()^$?|\\\\])" "\\\\\\1" text "${text}")
  set(${ret} "${text}" PARENT_SCOPE)
endfunction()
