# A target compiled in few pieces, of six files each, where REWRAP_UNITY_BUILD asks for it: most of the time goes into headers.

# rewrap_unity(TARGET [EXCEPT FILE...]): the files after EXCEPT, which use a name of another one for something else, are
# compiled alone. A new clash of names is an error of the sanitizer builds: list one of the two files here.
function(rewrap_unity target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "EXCEPT")
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${REWRAP_UNITY_BUILD} UNITY_BUILD_BATCH_SIZE 6)
  set_source_files_properties(${arg_EXCEPT} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
