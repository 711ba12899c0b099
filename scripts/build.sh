# shellcheck shell=bash
# Sourced by the launcher. Builds a module and those that it needs, when it was never built or its sources have changed.

# ensure_built MODULE
ensure_built() {
  is_stale "$1" || return 0
  with_lock build_if_stale "$1"
}

# with_lock COMMAND [ARGUMENT]...: one build at a time; a second one waits.
with_lock() {
  mkdir -p "$state"
  (
    if command -v flock >/dev/null && ! flock -n 9; then
      echo "logratio: waiting for a build that is running" >&2
      flock 9
    fi
    "$@"
  ) 9>"$state/lock" || exit $?
}

build_if_stale() {
  # The build that was waited for may have done it.
  is_stale "$1" || return 0
  require_packages
  echo "logratio: building $1 (log: $state/build.log; the first time may take some minutes)" >&2
  local started
  started=$(mktemp "$state/started.XXXXXX")
  if ! run_maven -q -pl "$1" -am -Dmaven.test.skip=true -Dmaven.javadoc.skip=true -Dmaven.source.skip=true package \
    >"$state/build.log" 2>&1; then
    rm -f "$started"
    fail "the build failed; see $state/build.log"
  fi
  mark_built "$started" java "$1" # -am has built java with every other module
  rm -f "$started"
}

# mark_built FILE MODULE...: their jars are as new as FILE, made before the build: what is edited while it runs counts as changed.
mark_built() {
  local module
  for module in "${@:2}"; do
    cp -p "$1" "$(stamp "$module")"
  done
}

# LOGRATIO_CUDA=all compiles the CUDA kernels for every GPU, which takes several times as long as for one and PTX.
run_maven() {
  JAVA_HOME=$jdk mvn -B -ntp -f "$root/pom.xml" ${LOGRATIO_CUDA:+-Dnative.cuda="$LOGRATIO_CUDA"} "$@" </dev/null 9>&-
}

stamp() {
  echo "$root/$1/target/built"
}

is_stale() {
  local stamp sources
  stamp=$(stamp "$1")
  [ -e "$stamp" ] || return 0
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
    *) echo "$shared $1/pom.xml $1/src/main" ;;
  esac
}

# class_path MODULE: its own jar, and what the build wrote down of its dependencies.
class_path() {
  local jar
  for jar in "$root/$1"/target/logratio*.jar; do
    case $jar in
      *-sources.jar | *-javadoc.jar) ;;
      *) echo "$jar:$(cat "$root/$1/target/classpath")" ;;
    esac
  done
}
