# shellcheck shell=bash
# Sourced by the launcher. Makes the wheel of the Python package from the libraries that are built.

# Prints the wheel's path and size, and what it asks of a system.
make_wheel() {
  local log=$state/python.log reason
  [ $# -eq 0 ] || fail "unknown argument '$1' of wheel; it takes none" 2
  find_jdk
  ensure_built bindings
  make_state
  reason=$(lacks_environment)
  [ -z "$reason" ] || fail "$reason"
  pip_install scikit-build-core wheel || fail "pip could not install scikit-build-core and wheel; see $log"
  pack_wheel "$root/target" >"$state/wheel.log" 2>&1 || {
    tail -n 20 "$state/wheel.log" >&2
    fail "the wheel could not be made; see $state/wheel.log"
  }
  stat -c '%n, %s bytes' "$root"/target/logratio-*.whl
}

# pack_wheel FOLDER: there is one wheel in it afterwards. Its name tells the oldest glibc that the
# libraries run on.
pack_wheel() {
  local natives=$root/bindings/target/classes/META-INF/native/linux-x86_64 python=$state/python/bin/python glibc
  glibc=$(needed_glibc "$natives"/*.so) &&
    rm -f "$1"/logratio-*.whl &&
    "$python" -m pip wheel --no-deps --no-build-isolation --wheel-dir "$1" -C "cmake.define.LR_PREBUILT=$natives" "$root/python" &&
    "$python" -m wheel tags --remove --platform-tag "manylinux_${glibc/./_}_x86_64" "$1"/logratio-*.whl
}

# needed_glibc LIBRARY...: prints the newest version of glibc that one of them names. Fails if one
# cannot be read, or needs more than the C library.
needed_glibc() {
  local library told needed newest=''
  for library in "$@"; do
    if ! told=$(readelf -dVW "$library"); then
      echo "readelf, of Debian's binutils, cannot read $library" >&2
      return 1
    fi
    for needed in $(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$told"); do
      case $needed in
        libc.so.6 | libm.so.6 | ld-linux-x86-64.so.2) ;;
        *)
          echo "$library needs $needed, expected the C library alone" >&2
          return 1
          ;;
      esac
    done
    newest=$(
      {
        echo "$newest"
        grep -oE 'GLIBC_[0-9.]+' <<<"$told" | cut -d _ -f 2 || true
      } | sort -V | tail -n 1
    )
  done
  if [ -z "$newest" ]; then
    echo "$* names no version of glibc, expected one" >&2
    return 1
  fi
  echo "$newest"
}
