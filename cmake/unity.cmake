# A target compiled in few pieces, of a dozen files each: most of the time goes into headers. Tests always, the rest where
# REWRAP_UNITY_BUILD asks for it.

# rewrap_unity(TARGET [EXCEPT FILE...]): the files after EXCEPT, which use a name of another one for something else, are
# compiled alone. A new clash of names is an error of these builds: list one of the two files here.
function(rewrap_unity target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "EXCEPT")
  set(unity ${REWRAP_UNITY_BUILD})
  if(CMAKE_CURRENT_SOURCE_DIR MATCHES "^${PROJECT_SOURCE_DIR}/tests/")
    set(unity ON)
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${unity} UNITY_BUILD_BATCH_SIZE 12)
  set_source_files_properties(${arg_EXCEPT} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
