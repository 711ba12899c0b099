# shellcheck shell=bash
# Sourced by the launcher. Gives the sources their form, or tells which have another one: Java's by
# google-java-format (AOSP), C++'s and CUDA's by clang-format and .clang-format. Another version of
# either tool would have another form.

java_format_version=1.35.0
clang_format_version=14

# run_format [--check]
run_format() {
  case "$#:${1:-}" in
    0:) set -- write ;;
    1:--check) set -- check ;;
    *) fail "unknown argument '$1' of format; it takes --check" 2 ;;
  esac
  find_jdk
  make_state
  require_packages tests
  find_clang_format ||
    fail "the native sources have the form of clang-format $clang_format_version; install Debian's package clang-format-$clang_format_version"
  format_java "$1" && format_native "$1" || exit 1
}

# check_format: of both languages, without stopping at the first.
check_format() {
  local well=0
  format_java check || well=1
  if find_clang_format; then
    format_native check || well=1
  else
    echo "logratio: the form of the native sources is not checked, for lack of clang-format $clang_format_version" >&2
  fi
  return $well
}

# format_java write|check
format_java() {
  local jar=$state/google-java-format-$java_format_version-all-deps.jar flags=(--replace) package files
  if ! [ -e "$jar" ] && ! run_maven -q -N dependency:copy -DoutputDirectory="$state" \
    -Dartifact="com.google.googlejavaformat:google-java-format:$java_format_version:jar:all-deps" >"$state/format.log" 2>&1; then
    fail "google-java-format could not be downloaded; see $state/format.log"
  fi
  [ "$1" = write ] || flags=(--dry-run --set-exit-if-changed)
  local exports=()
  for package in api code file parser tree util main; do
    exports+=(--add-exports "jdk.compiler/com.sun.tools.javac.$package=ALL-UNNAMED")
  done
  readarray -t files < <(sources -name '*.java' -not -path '*/dev/logratio/bindings/lr_*' \
    -not -path '*/dev/logratio/bindings/logratio_h*' -not -path '*/dev/logratio/bindings/DL*')
  # A second time: strings that were broken anew get their indentation only then.
  [ "$1" = check ] || "$jdk/bin/java" "${exports[@]}" -jar "$jar" --aosp "${flags[@]}" "${files[@]}"
  if ! "$jdk/bin/java" "${exports[@]}" -jar "$jar" --aosp "${flags[@]}" "${files[@]}"; then
    echo "logratio: these Java sources need ./logratio format" >&2
    return 1
  fi
}

# format_native write|check
format_native() {
  local flags=(-i) files
  [ "$1" = write ] || flags=(--dry-run -Werror)
  readarray -t files < <(sources \( -name '*.h' -o -name '*.c' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \))
  if ! "$clang_format" "${flags[@]}" "${files[@]}"; then
    echo "logratio: these native sources need ./logratio format" >&2
    return 1
  fi
}

# Sets `clang_format` to one of the right version.
find_clang_format() {
  for clang_format in clang-format clang-format-$clang_format_version; do
    ! "$clang_format" --version 2>/dev/null | grep -q "version $clang_format_version\." || return 0
  done
  return 1
}

# sources TEST...: the files of the checkout for which find's tests hold, without what builds made.
sources() {
  find "$root" -mindepth 1 \( -name target -o -name build -o -name '.?*' -o -name quickstart-out \) -prune -o -type f "$@" -print
}
