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
