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
    rm -f "$state"/started.*
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
  local started
  started=$(note_start)
  if ! run_maven -q -pl "$1" -am -Dmaven.test.skip=true -Dmaven.javadoc.skip=true -Dmaven.source.skip=true package \
    >"$state/build.log" 2>&1; then
    rm -f "$started"
    fail "the build failed; see $state/build.log"
  fi
  mark_built "$started" "$1"
  rm -f "$started"
}

# A new file that tells when a build began, and where.
note_start() {
  local started
  started=$(mktemp "$state/started.XXXXXX")
  echo "$root" >"$started"
  echo "$started"
}

# mark_built FILE MODULE...: their jars are as new as FILE, made before the build: what is edited
# while it runs counts as changed.
mark_built() {
  local module
  for module in "${@:2}"; do
    cat "$1" >"$(stamp "$module")"
    touch -r "$1" "$(stamp "$module")"
  done
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
  for cache in "$root"/bindings/target/native*/CMakeCache.txt "$state/sanitize/CMakeCache.txt"; do
    [ -e "$cache" ] || continue
    made_in=$(sed -n 's/^CMAKE_CACHEFILE_DIR:INTERNAL=//p' "$cache")
    [ "$made_in" -ef "${cache%/*}" ] || rm -rf "${cache%/*}"
  done
}

stamp() {
  echo "$root/$1/target/built"
}

is_stale() {
  local stamp sources
  stamp=$(stamp "$1")
  # A stamp that does not say where is one of an older launcher.
  [ -s "$stamp" ] && [ -r "$stamp" ] || return 0
  is_class_path_there "$1" || return 0
  sources=$(sources_of "$1")
  # Folders are looked at too: one changes when a file in it is removed.
  # shellcheck disable=SC2086 # the names are words, and relative ones
  [ -n "$(cd "$root" && find $sources -newer "$stamp" -print -quit)" ]
}

# The files and folders that the jars of a module and of those that it needs are made from.
sources_of() {
  local shared="pom.xml .mvn/maven.config native/CMakeLists.txt native/include native/src cuda-kernels/CMakeLists.txt cuda-kernels/src cuda-kernels/emulator bindings/pom.xml bindings/src/main java/pom.xml java/src/main"
  case $1 in
    java) echo "$shared" ;;
    trainers/quickstart) echo "$shared trainers/djl/pom.xml trainers/djl/src/main $1/pom.xml $1/src/main" ;;
    *) echo "$shared $1/pom.xml $1/src/main" ;;
  esac
}

is_class_path_there() {
  local entries entry
  [ -r "$root/$1/target/classpath" ] || return 1
  IFS=: read -r -a entries < <(class_path "$1")
  for entry in "${entries[@]}"; do
    [ -r "$entry" ] || return 1
  done
}

# class_path MODULE: its own jar, and what the build wrote down of its dependencies, ours where the
# checkout is now.
class_path() {
  local jar built_in dependencies
  read -r built_in <"$(stamp "$1")"
  dependencies=:$(cat "$root/$1/target/classpath")
  for jar in "$root/$1"/target/logratio*.jar; do
    case $jar in
      *-sources.jar | *-javadoc.jar) ;;
      *) echo "$jar${dependencies//":$built_in/"/":$root/"}" ;;
    esac
  done
}
