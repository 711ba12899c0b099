# shellcheck shell=bash
# Sourced by the launcher. The virtual environment of the Python package in .logratio/python, and the
# tests of the package in it. Where they cannot run, for lack of Python or of a network, the reason is
# told.

# make_environment: makes it, or takes the one that is there. Sets `no_python` to the reason why it
# cannot, and `no_trl` where that holds for TRL alone.
make_environment() {
  local log=$state/python.log
  no_python='' no_trl=''
  echo "logratio: Python packages (log: $log)" >&2
  : >"$log"
  no_python=$(lacks_environment)
  if [ -n "$no_python" ]; then
    return
  elif ! pip_install torch==2.13.0 || ! pip_install pytest numpy ml_dtypes tensorboard hypothesis scikit-build-core wheel; then
    no_python="pip could not install torch and what the tests need; see $log"
  elif ! pip_install trl==1.13.0 peft --only-binary :all:; then
    no_trl="pip could not install trl and peft; see $log"
  fi
}

# Makes the environment without packages. Prints why it cannot.
lacks_environment() {
  local log=$state/python.log
  ! "$state/python/bin/python" -m pip --version >>"$log" 2>&1 || return 0
  if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' >>"$log" 2>&1; then
    echo 'python3 was not found, or is older than 3.10'
  elif ! python3 -m venv --clear "$state/python" >>"$log" 2>&1; then
    echo 'python3 makes no virtual environment; install it with: sudo apt-get install python3-venv'
  fi
}

# Packages that are there already are not looked for in the network.
pip_install() {
  PIP_RETRIES=0 PIP_DISABLE_PIP_VERSION_CHECK=1 "$state/python/bin/python" -m pip install "$@" >>"$state/python.log" 2>&1
}

# The tests of the package, as it is installed from a wheel of the libraries that Maven has built.
run_python_tests() {
  local log=$state/python-tests.log without=()
  [ -z "$no_trl" ] || without=(--ignore-glob='*/test_trl_*')
  echo "logratio: Python tests (log: $log)" >&2
  if ! {
    pack_wheel "$state/wheel" &&
      pip_install --force-reinstall --no-deps "$state"/wheel/*.whl &&
      LOGRATIO_EMULATOR=$root/bindings/target/emulator/liblogratio_emulator.so HF_HUB_OFFLINE=1 \
        "$state/python/bin/python" -m pytest -q "$root/python/tests" "${without[@]}" \
        -o cache_dir="$state/pytest" --junit-xml="$state/python-tests.xml"
  } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "logratio: Python tests failed; see $log" >&2
    return 1
  fi
}
