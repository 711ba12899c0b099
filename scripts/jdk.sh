# shellcheck shell=bash
# Sourced by the launcher. find_jdk sets `jdk` to the home of a JDK of the version that the project needs, or newer.

jdk_version=25

find_jdk() {
  local home
  while read -r home; do
    if is_recent_jdk "$home"; then
      jdk=$home
      return
    fi
  done < <(jdk_candidates)
  fail "no JDK $jdk_version or newer in JAVA_HOME, PATH, /usr/lib/jvm, ~/.sdkman or ~/.jdks; install one (https://adoptium.net has them) or set JAVA_HOME"
}

jdk_candidates() {
  local java
  [ -z "${JAVA_HOME:-}" ] || echo "$JAVA_HOME"
  if java=$(command -v javac); then
    dirname "$(dirname "$(readlink -f "$java")")"
  fi
  printf '%s\n' /usr/lib/jvm/* "${HOME:-/root}"/.sdkman/candidates/java/* "${HOME:-/root}"/.jdks/*
}

# Reads the file `release` that every JDK has: starting each one to ask for its version would take seconds.
is_recent_jdk() {
  local major
  [ -x "$1/bin/java" ] && [ -x "$1/bin/javac" ] && [ -r "$1/release" ] || return 1
  major=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release")
  [ "${major:-0}" -ge "$jdk_version" ]
}
