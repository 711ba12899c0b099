#!/bin/sh
# mark_built.sh TARGET TIME: called by Maven, notes in TARGET/built that a module was built from the
# sources as they were at TIME, and in which checkout: by the name that Maven has for it, which is that
# of the class path. The folder with Maven's own settings is the root.
set -eu
root=$1
while [ ! -d "$root/.mvn" ]; do root=${root%/*}; done
mkdir -p "$1"
echo "$root" >"$1/built.new"
touch -d "$2" "$1/built.new"
mv -f "$1/built.new" "$1/built"
