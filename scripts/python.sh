# shellcheck shell=bash
# Sourced by the launcher. The virtual environment of the Python package in .logratio/python, and the
# package's tests in it. Without network, or without Python, they are not run, and the reason is told.

# make_python TEST-PACKAGES: makes the environment, or takes the one that is there. Where that
# cannot be done, sets `no_python` to the reason; where TRL alone is missing, `no_trl`.
make_python() {
  local python=$state/python/bin/python log=$state/python.log
  no_python='' no_trl=''
  echo "logratio: Python packages (log: $log)" >&2
  : >"$log"
  if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>>"$log"; then
    no_python='python3 was not found, or is older than 3.10'
  elif ! has_environment && ! python3 -m venv --clear "$state/python" >>"$log" 2>&1; then
    no_python='no virtual environment; install it with: sudo apt-get install python3-venv'
  elif ! install_python torch==2.13.0 || ! install_python "${python_packages[@]}"; then
    no_python="pip could not install torch and what the tests need; see $log"
  elif ! install_python trl==1.13.0 --only-binary :all:; then
    no_trl="pip could not install trl; see $log"
  fi
  [ -z "$no_python" ] || no_trl=$no_python
  [ -n "$no_python" ] || export LOGRATIO_PYTHON=$python
}
