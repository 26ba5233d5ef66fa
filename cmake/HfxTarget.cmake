# hfx_target(TARGET): what every target of this project is compiled with.
#
# Interface library `hfx_options` carries warnings and sanitizers, so that no
# global flag is set.
add_library(hfx_options INTERFACE)
target_compile_features(hfx_options INTERFACE c_std_11)
target_compile_definitions(hfx_options INTERFACE _GNU_SOURCE
  HFX_VERSION="${PROJECT_VERSION}")
target_compile_options(hfx_options INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wpointer-arith -Wundef -Wvla -fvisibility=hidden
  $<$<BOOL:${HFX_WERROR}>:-Werror>)
if(HFX_SANITIZE)
  add_library(hfx_sanitize INTERFACE)
  target_compile_options(hfx_sanitize INTERFACE
    -fsanitize=${HFX_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(hfx_sanitize INTERFACE -fsanitize=${HFX_SANITIZE})
endif()

function(hfx_target target)
  target_link_libraries(${target} PRIVATE hfx_options)
  set_target_properties(${target} PROPERTIES C_EXTENSIONS ON)
endfunction()

# The same, and sanitizers when HFX_SANITIZE asks for them. Not for libhfx.so,
# which is loaded into programs that have no sanitizer runtime.
function(hfx_sanitized_target target)
  hfx_target(${target})
  if(HFX_SANITIZE)
    target_link_libraries(${target} PRIVATE hfx_sanitize)
  endif()
endfunction()
