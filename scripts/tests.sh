# shellcheck shell=bash
# Sourced by the launcher. Runs every test of every module and counts what the test frameworks reported.

run_tests() {
  local sanitize=no reproduce=no python=no seed=()
  while [ $# -gt 0 ]; do
    case $1 in
      --all) sanitize=yes python=yes ;;
      --sanitize) sanitize=yes ;;
      --reproducible) reproduce=yes ;;
      --seed)
        [[ ${2:-} =~ ^-?[0-9]+$ ]] || fail "--seed takes a whole number, not '${2:-}'" 2
        seed=("-Dlogratio.seed=$2")
        shift
        ;;
      *) fail "unknown argument '$1' of test; it takes --all, --sanitize, --reproducible and --seed NUMBER" 2 ;;
    esac
    shift
  done
  find_jdk
  with_lock run_tests_locked "$sanitize" "$reproduce" "$python" "${seed[@]}"
}

# run_tests_locked SANITIZE REPRODUCE PYTHON [MAVEN-ARGUMENT]...
run_tests_locked() {
  local failed=() reports=("bindings/target/ctest.xml=GoogleTest") no_python='' no_trl='' sanitized
  require_packages tests
  if [ "$3" = yes ]; then
    install_venv
    make_environment
    # For tests in Java that ask a Python package whether it can read what they wrote.
    [ -n "$no_python" ] || export LOGRATIO_PYTHON=$state/python/bin/python
  fi
  # Reports of an earlier run must not count.
  rm -rf "$root"/{*,trainers/*}/target/surefire-reports "$root/bindings/target/ctest.xml" "$state"/{sanitize,python-tests}.xml
  if [ "$1" = yes ]; then
    build_sanitized_tests >"$state/sanitize.log" 2>&1 &
    sanitized=$!
  fi
  echo "logratio: form of the sources" >&2
  check_format >&2 || failed+=("form of the sources (./logratio format)")
  echo "logratio: mvn verify (log: $state/test.log)" >&2
  # The style is looked at after it: a bad word shall not keep tests of other modules from running.
  if ! run_maven -Pexamples "${@:4}" -Dcheckstyle.skip -fae verify >"$state/test.log" 2>&1; then
    grep -E '^\[ERROR\]|^The following tests FAILED|^[[:space:]]+[0-9]+ - .*\(Failed|\[  FAILED  \]' "$state/test.log" | head -n 60 >&2 || true
    echo "logratio: mvn verify failed; see $state/test.log" >&2
    failed+=("mvn verify")
  fi
  if ! run_maven -q -fae checkstyle:check@check-style >"$state/style.log" 2>&1; then
    grep -E '^\[ERROR\] .*: ' "$state/style.log" | head -n 60 >&2 || true
    failed+=("style of the Java sources")
  fi
  run_examples || failed+=("examples")
  if [ "$1" = yes ]; then
    run_sanitized_tests "$sanitized" || failed+=("native tests with sanitizers")
    reports+=(".logratio/sanitize.xml=GoogleTest with sanitizers")
  fi
  if [ "$3" = yes ] && [ -z "$no_python" ]; then
    run_python_tests || failed+=("Python tests")
    reports+=(".logratio/python-tests.xml=Python")
  fi
  if [ "$2" = yes ]; then
    echo "logratio: two builds give the same jars (log: $state/reproducible.log)" >&2
    if ! JAVA_HOME=$jdk "$root/scripts/reproducible.sh" >"$state/reproducible.log" 2>&1; then
      tail -n 20 "$state/reproducible.log" >&2
      failed+=("reproducible jars")
    fi
  fi
  [ -z "$no_python" ] || echo "Python: not run ($no_python)"
  [ -z "$no_python$no_trl" ] || echo "TRL: not run (${no_trl:-$no_python})"
  "$jdk/bin/java" "$root/scripts/TestReport.java" "$root" "${reports[@]}" "${failed[@]}"
}

# The native tests once more, with AddressSanitizer and UndefinedBehaviorSanitizer, in a build folder of their own.
# They are compiled beside all that comes before, on what that leaves of the processors.
build_sanitized_tests() {
  local build=$state/sanitized generator=()
  [ -e "$build/CMakeCache.txt" ] || ! command -v ninja >/dev/null || generator=(-G Ninja)
  cmake -S "$root" --preset sanitize -B "$build" "${generator[@]}" &&
    nice -n 19 cmake --build "$build" --parallel 2
}

# run_sanitized_tests BUILD: waits for the process that builds them.
run_sanitized_tests() {
  local log=$state/sanitize.log
  echo "logratio: native tests with sanitizers (log: $log)" >&2
  if ! {
    wait "$1" &&
      ctest --test-dir "$state/sanitized" --parallel 2 --output-on-failure --no-tests=error --output-junit "$state/sanitize.xml"
  } >>"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "logratio: native tests with sanitizers failed; see $log" >&2
    return 1
  fi
}
