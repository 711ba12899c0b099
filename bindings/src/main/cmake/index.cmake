# Writes FOLDER/liblogratio.sha256: the shared libraries of FOLDER, the main one first, as sha256sum prints them.
# The loader reads there what the jar carries. Unchanged content leaves the file alone.
file(GLOB libraries RELATIVE ${FOLDER} ${FOLDER}/*.so)
list(REMOVE_ITEM libraries liblogratio.so)
list(SORT libraries)
list(PREPEND libraries liblogratio.so)

set(index "")
foreach(library IN LISTS libraries)
  file(SHA256 ${FOLDER}/${library} hash)
  string(APPEND index "${hash}  ${library}\n")
endforeach()
file(CONFIGURE OUTPUT ${FOLDER}/liblogratio.sha256 CONTENT "${index}" @ONLY)
