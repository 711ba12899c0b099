# Writes FOLDER/liblogratio.sha256: the shared libraries of FOLDER, the main one first, as sha256sum prints them.
# The loader reads there what the jar carries. Unchanged content leaves the file and its
# folder alone: a newer time of either makes the jar, and all that depends on it, stale.
file(GLOB libraries RELATIVE ${FOLDER} ${FOLDER}/*.so)
list(REMOVE_ITEM libraries liblogratio.so)
list(SORT libraries)
list(PREPEND libraries liblogratio.so)

set(index "")
foreach(library IN LISTS libraries)
  file(SHA256 ${FOLDER}/${library} hash)
  string(APPEND index "${hash}  ${library}\n")
endforeach()
set(file ${FOLDER}/liblogratio.sha256)
set(before "")
if(EXISTS ${file})
  file(READ ${file} before)
endif()
if(NOT before STREQUAL index)
  file(WRITE ${file} "${index}")
endif()
