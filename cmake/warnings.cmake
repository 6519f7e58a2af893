# Warnings for our own targets. They are errors only where a preset says so, so that a newer compiler cannot break a user's build.
option(REWRAP_WARNINGS_AS_ERRORS "Treat warnings as errors" OFF)

add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor -Wold-style-cast)
if(REWRAP_WARNINGS_AS_ERRORS)
  add_compile_options(-Werror)
endif()
# GCC's manual of -fsanitize: sanitizers make for more false alarms of this one. The other builds have it.
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  add_compile_options(-Wno-maybe-uninitialized)
endif()
# With -O3, GCC 12 takes "text" + std::string() for a copy onto itself (its bug 105651, mended in 13). In no other build:
# clang-tidy reads the flags of dev, and does not know this one.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options(-Wno-restrict)
endif()
