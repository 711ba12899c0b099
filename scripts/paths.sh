# shellcheck shell=bash
# Sourced by the launcher. Makes names of files and folders fit for Java, whatever letters they
# hold.

# Java knows names of files in the encoding of the locale. In one that has ASCII alone, such as C,
# it cannot open others; what changes with this is the encoding, neither language nor format of
# numbers.
use_utf8_names() {
  local encoding
  encoding=$(locale charmap 2>/dev/null) || encoding=
  case ${encoding:-ANSI_X3.4-1968} in
    ANSI_X3.4-1968 | US-ASCII)
      if [ -n "${LC_ALL:-}" ]; then export LC_ALL=C.UTF-8; else export LC_CTYPE=C.UTF-8; fi
      ;;
  esac
}

# without_colon FOLDER: the folder under a name without ':', which separates the folders of a class
# path. Where its own name has one, that is a symbolic link in the user's cache, the same at every
# start, because CMake remembers the path that it built in.
without_colon() {
  case $1 in
    *:*) ;;
    *)
      echo "$1"
      return
      ;;
  esac
  local links link hash
  links=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/logratio/checkouts
  hash=$(printf %s "$1" | sha256sum)
  link=$links/${hash:0:16}
  case $links in
    *:*) fail "the path $1 has a ':', and so has $links, where a link to it would go; set XDG_CACHE_HOME to a folder without one" ;;
  esac
  if [ "$(readlink "$link")" != "$1" ]; then
    { mkdir -p -m 700 "$links" && ln -sfn "$1" "$link"; } 2>/dev/null ||
      fail "the path $1 has a ':', and a link to it cannot be made in $links; set XDG_CACHE_HOME to a folder that can be written"
  fi
  echo "$link"
}
