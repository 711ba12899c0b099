# shellcheck shell=bash
# Sourced by the launcher. Runs the projects in examples/, whose Java `mvn -Pexamples verify` has
# compiled against the modules here, and compares what they print with what they should.

run_examples() {
  local log=$state/examples.log examples=$root/examples
  echo "logratio: examples (log: $log)" >&2
  if ! {
    run_java_example java Examples "$root/java/target/classes:$root/bindings/target/classes" |
      diff -u "$examples/java/expected.txt" - &&
      # It also prints DJL's progress, and ends with whether the loss fell.
      run_java_example djl TrainOnPairs "$(class_path trainers/quickstart)" -Dai.djl.offline=true |
      tail -n 1 | diff -u "$examples/djl/expected.txt" - &&
      # It also prints times, and ends with whether gradients agree and the loss fell.
      run_java_example pytorch TrainInPlace "$(class_path bench)" |
      tail -n 1 | diff -u "$examples/pytorch/expected.txt" - &&
      build_c_example &&
      "$state/c-example/example" | diff -u "$examples/c/expected.txt" - &&
      run_python_examples
  } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "logratio: an example failed; see $log" >&2
    return 1
  fi
}

# run_java_example FOLDER CLASS CLASS-PATH [JAVA-OPTION]...
run_java_example() {
  "$jdk/bin/java" --enable-native-access=ALL-UNNAMED "${@:4}" \
    -cp "$root/examples/$1/target/classes:$3" "$2"
}

# Where `test --all` has made an environment: the package in the checkout, on the library as Maven has
# built it. The programs print times and progress, too, and end with one line that is compared.
run_python_examples() {
  local python=$state/python/bin/python program
  "$python" -c 'import numpy, torch' 2>/dev/null || return 0
  for program in first_step hidden_states numpy_parity plain_pytorch trl_dpo; do
    if [ $program = trl_dpo ] && ! "$python" -c 'import trl' 2>/dev/null; then
      continue
    fi
    PYTHONPATH=$root/python/src HF_HUB_OFFLINE=1 \
      LOGRATIO_LIBRARY=$root/bindings/target/classes/META-INF/native/linux-x86_64/liblogratio.so \
      "$python" "$root/examples/python/$program.py" | tail -n 1 |
      diff -u <(sed -n "s/^$program: //p" "$root/examples/python/expected.txt") - || return 1
  done
}

# Against the library as Maven has built it, installed as others would install it.
build_c_example() {
  local build=$state/c-example installed=$state/c-library generator=()
  rm -rf "$installed"
  [ -e "$build/CMakeCache.txt" ] || ! command -v ninja >/dev/null || generator=(-G Ninja)
  cmake --install "$root/bindings/target/native" --prefix "$installed" &&
    cmake -S "$root/examples/c" -B "$build" "${generator[@]}" -DCMAKE_PREFIX_PATH="$installed" &&
    cmake --build "$build"
}
