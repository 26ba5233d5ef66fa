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
if(BUILD_TESTING AND PROJECT_IS_TOP_LEVEL)
  hfx_dependency(CMOCKA cmocka libcmocka-dev)
endif()
