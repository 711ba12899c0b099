#!/usr/bin/env bash
# Builds the jars twice, in two folders and with Maven on two JDKs where there is an older one (17),
# and compares them to the bit. Prints a hash a jar; exits with 1 if one differs.
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CCACHE_DISABLE=1 # it would hand the first build's objects to the second
jars=(bindings java cli trainers/metrics trainers/djl trainers/pytorch trainers/quickstart)

# build FOLDER JAVA_HOME
build() {
  mkdir -p "$1"
  tar -C "$root" --exclude=target --exclude=build --exclude=.git --exclude=.logratio -cf - . | tar -C "$1" -xf -
  echo "Maven on $2 in $1"
  (cd "$1" && JAVA_HOME=$2 mvn -B -ntp -q -pl "$(IFS=, && echo "${jars[*]}")" -am -DskipTests \
    -Dcheckstyle.skip ${LOGRATIO_CUDA:+-Dnative.cuda="$LOGRATIO_CUDA"} verify </dev/null)
}

# The JDK 17 or newer that is furthest from JAVA_HOME's; Maven's toolchain compiles with the newer one.
older_jdk() {
  local home
  for home in /usr/lib/jvm/*17*; do
    [ ! -x "$home/bin/javac" ] || { echo "$home" && return; }
  done
  echo "$JAVA_HOME"
}

build "$work/one" "${JAVA_HOME:?}"
build "$work/another" "$(older_jdk)"

differ=0
while read -r file; do
  if cmp -s "$work/one/$file" "$work/another/$file"; then
    (cd "$work/one" && sha256sum "$file")
  else
    echo "differs: $file"
    differ=1
  fi
done < <(cd "$work/one" && find "${jars[@]/%//target}" -maxdepth 1 \( -name '*.jar' -o -name 'bom.json' \) | sort)
exit $differ
