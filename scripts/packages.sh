# shellcheck shell=bash
# Sourced by the launcher. require_packages makes sure that what the build needs is installed, beside the JDK.

# require_packages [tests]: installs what is missing when that is possible, or says in one line how to.
require_packages() {
  local missing
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "logratio: installing $missing (log: $state/packages.log)" >&2
    # shellcheck disable=SC2086 # the names are words
    if ! install_packages $missing >"$state/packages.log" 2>&1; then
      fail "could not install $missing; see $state/packages.log"
    fi
    missing=$(missing_packages "$@")
    [ -z "$missing" ] || fail "$missing installed, but still not found"
  elif command -v apt-get >/dev/null; then
    fail "something is missing; install it with: sudo apt-get install $missing"
  else
    fail "something is missing; install what Debian calls $missing"
  fi
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q update && apt-get -q -y --no-install-recommends install "$@" </dev/null
}

# What `test --all` likes to have, and goes without where it cannot be installed.
install_venv() {
  ! python3 -c 'import ensurepip, venv' 2>/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 0
  echo "logratio: installing python3-venv (log: $state/packages.log)" >&2
  install_packages python3-venv >"$state/packages.log" 2>&1 || true
}

# The Debian packages of what is not found, on one line.
missing_packages() {
  local packages=()
  command -v mvn >/dev/null || packages+=(maven)
  command -v cmake >/dev/null || packages+=(cmake)
  command -v g++ >/dev/null || packages+=(g++)
  command -v make >/dev/null || [ -x /usr/bin/ninja ] || packages+=(ninja-build)
  has_header hwy/highway.h || packages+=(libhwy-dev)
  has_header boost/context/detail/fcontext.hpp || packages+=(libboost-context-dev)
  if [ "${1:-}" = tests ]; then
    has_header gtest/gtest.h || packages+=(libgtest-dev)
    command -v clang-format "clang-format-$clang_format_version" >/dev/null || packages+=(clang-format)
  fi
  echo "${packages[*]}"
}

# Asks the compiler, so that CPATH counts; without one, looks where Debian puts headers.
has_header() {
  if command -v g++ >/dev/null; then
    echo "#include <$1>" | g++ -std=c++20 -M -x c++ - >/dev/null 2>&1
  else
    [ -e "/usr/include/$1" ]
  fi
}
