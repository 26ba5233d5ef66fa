# Dependencies, all from Debian packages. What is missing is named with the
# package that has it.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(hfx_dependency name module package)
  pkg_check_modules(${name} IMPORTED_TARGET ${module})
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR
      "hfx needs ${module}, which was not found. Install it with: apt-get install ${package}")
  endif()
endfunction()

hfx_dependency(LIBDW libdw libdw-dev)
hfx_dependency(LIBELF libelf libelf-dev)
hfx_dependency(CAPSTONE capstone libcapstone-dev)
hfx_dependency(LIBARCHIVE libarchive libarchive-dev)
hfx_dependency(LIBZSTD libzstd libzstd-dev)
hfx_dependency(LIBSODIUM libsodium libsodium-dev)
hfx_dependency(JANSSON jansson libjansson-dev)
# It has no file for pkg-config.
find_library(HFX_LIBIBERTY iberty)
find_path(HFX_LIBIBERTY_INCLUDE_DIR libiberty/demangle.h)
if(NOT HFX_LIBIBERTY OR NOT HFX_LIBIBERTY_INCLUDE_DIR)
  message(FATAL_ERROR
    "hfx needs libiberty, which was not found. Install it with: apt-get install libiberty-dev")
endif()
add_library(hfx_iberty INTERFACE)
target_link_libraries(hfx_iberty INTERFACE "${HFX_LIBIBERTY}")
target_include_directories(hfx_iberty SYSTEM INTERFACE
  "${HFX_LIBIBERTY_INCLUDE_DIR}")

if(BUILD_TESTING AND PROJECT_IS_TOP_LEVEL)
  hfx_dependency(CMOCKA cmocka libcmocka-dev)
endif()
