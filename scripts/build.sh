# shellcheck shell=bash
# Sourced by the launcher. Builds a module and those that it needs, when it was never built or its
# sources have changed.

# ensure_built MODULE
ensure_built() {
  is_stale "$1" || return 0
  with_lock build_if_stale "$1"
}

# with_lock COMMAND [ARGUMENT]...: one build at a time; a second one waits. Whatever the command
# starts inherits the lock, so that a build that goes on after the launcher was killed still holds
# it.
with_lock() {
  make_state
  (
    if command -v flock >/dev/null && ! flock -n 9; then
      echo "logratio: waiting for a build that is running" >&2
      flock 9
    fi
    "$@"
  ) 9<>"$state/lock" || exit $?
}

# Makes the folder of the launcher's own files, or says who may.
make_state() {
  if ! { mkdir -p "$state" && [ -w "$state" ] && [ -w "$root" ] && { [ -e "$state/lock" ] || : >"$state/lock"; } && [ -w "$state/lock" ]; } 2>/dev/null; then
    fail "something is to be built, and $(id -un 2>/dev/null || id -u) cannot write to $root: build it as $(stat -c %U "$root"), whose it is, or use a clone of your own"
  fi
}

build_if_stale() {
  # The build that was waited for may have done it.
  is_stale "$1" || return 0
  require_packages
  echo "logratio: building $1 (log: $state/build.log; the first time may take some minutes)" >&2
  run_maven -q -pl "$1" -am -Dmaven.test.skip=true -Dmaven.javadoc.skip=true -Dmaven.source.skip=true package \
    >"$state/build.log" 2>&1 || fail "the build failed; see $state/build.log"
}

# LOGRATIO_CUDA=all compiles the CUDA kernels for every GPU, which takes several times as long as
# for one and PTX.
run_maven() {
  forget_moved_builds
  JAVA_HOME=$jdk mvn -B -ntp -f "$root/pom.xml" ${LOGRATIO_CUDA:+-Dnative.cuda="$LOGRATIO_CUDA"} "$@" </dev/null
}

# CMake refuses a build folder that was made under another path, before the checkout was moved or
# copied.
forget_moved_builds() {
  local cache made_in
  for cache in "$root/bindings/target/native/CMakeCache.txt" "$state"/{sanitized,c-example}/CMakeCache.txt; do
    [ -e "$cache" ] || continue
    made_in=$(sed -n 's/^CMAKE_CACHEFILE_DIR:INTERNAL=//p' "$cache")
    [ "$made_in" -ef "${cache%/*}" ] || rm -rf "${cache%/*}"
  done
}

# is_stale MODULE: whether it, or one that it needs, changed since Maven built it. Maven notes in the
# file target/built of each module when it began and in which folder (mark_built.sh), whether the
# launcher started it or somebody else.
is_stale() {
  local module
  for module in $(modules_of "$1"); do
    is_built "$module" || return 0
  done
  ! is_class_path_there "$1"
}

# A module, and before it those of the checkout that it needs.
modules_of() {
  case $1 in
    trainers/quickstart) echo bindings java trainers/metrics trainers/djl "$1" ;;
    bench) echo bindings java trainers/pytorch "$1" ;;
    *) echo bindings java "$1" ;;
  esac
}

# is_built MODULE: by itself, and from what is there now. Folders are looked at too: one changes when
# a file in it is removed.
is_built() {
  local stamp=$root/$1/target/built
  [ -s "$stamp" ] && [ -r "$stamp" ] || return 1
  # shellcheck disable=SC2046 # the names are words, and relative ones
  [ -z "$(cd "$root" && find $(sources_of "$1") -newer "$stamp" -print -quit)" ]
}

# The files and folders that the jar of a module is made from, with its own pom.xml for its class path.
sources_of() {
  echo pom.xml .mvn/maven.config "$1/pom.xml" "$1/src/main"
  [ "$1" != bindings ] || echo CMakeLists.txt native/CMakeLists.txt native/include native/src \
    cuda-kernels/CMakeLists.txt cuda-kernels/src cuda-kernels/emulator
}

# A class path of other jars of ours, such as installed ones, does not count: they may be old.
is_class_path_there() {
  local entries entry
  [ -r "$root/$1/target/classpath" ] || return 1
  IFS=: read -r -a entries < <(class_path "$1")
  for entry in "${entries[@]}"; do
    [ -r "$entry" ] || return 1
    case $entry in
      "$root"/*) ;;
      */dev/logratio/*) return 1 ;;
    esac
  done
}

# class_path MODULE: its own jar, and what the build wrote down of its dependencies, ours where the
# checkout is now.
class_path() {
  local jar built_in dependencies
  read -r built_in <"$root/$1/target/built"
  dependencies=:$(cat "$root/$1/target/classpath")
  for jar in "$root/$1"/target/logratio*.jar; do
    case $jar in
      *-sources.jar | *-javadoc.jar) ;;
      *) echo "$jar${dependencies//":$built_in/"/":$root/"}" ;;
    esac
  done
}
