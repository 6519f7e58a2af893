# Writes a C++ file that holds other files byte for byte. A script: it runs while building, whenever one of them has changed.
#
#   cmake -D OUTPUT=assets.cc -D HEADER=api/console/assets.h -D "FILES=/path/page.html;/path/page.css" -P embed.cmake
#
# It defines kAssets, declared in HEADER: name and bytes of each, in this order.
set(rows "")
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(SIZE ${file} size)
  file(READ ${file} bytes HEX)
  # Every byte as an escape, so that none has a meaning of its own; in lines that an editor can show.
  string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${bytes}")
  string(REGEX REPLACE "(................................................................)" "\\1\"\n     \"" bytes "${bytes}")
  string(APPEND rows "    {\"${name}\",\n     {\"${bytes}\", ${size}}},\n")
endforeach()
list(LENGTH FILES count)
file(WRITE ${OUTPUT}
     "// Made by cmake/embed.cmake.\n#include \"${HEADER}\"\n\n"
     "namespace rewrap::console {\n\n"
     "const std::array<Asset, ${count}> kAssets = {{\n${rows}}};\n\n"
     "}  // namespace rewrap::console\n")
