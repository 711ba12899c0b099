# shellcheck shell=bash
# Sourced by the launcher. Packs everything that a GPU server needs to check and measure the CUDA kernels into one archive.

# What the tests and the benchmark use of the JDK; jackson reads its defaults from XML classes.
bundle_modules=java.base,java.logging,java.management,java.xml,jdk.unsupported,jdk.zipfs
bundle_megabytes=60

make_bundle() {
  [ $# -eq 0 ] || fail "unknown argument '$1' of bundle; it takes none" 2
  find_jdk
  with_lock make_bundle_locked
}

make_bundle_locked() {
  local natives=$root/bindings/target/classes/META-INF/native/linux-x86_64 version name folder archive
  require_packages tests
  command -v xz >/dev/null || fail "xz was not found; install it with: sudo apt-get install xz-utils"
  echo "logratio: building for the bundle (log: $state/bundle.log)" >&2
  LOGRATIO_CUDA=all run_maven -q -pl cli,bench -am -DskipTests -Dmaven.javadoc.skip -Dmaven.source.skip package >"$state/bundle.log" 2>&1 ||
    fail "the build failed; see $state/bundle.log"
  [ -e "$natives/liblogratio_cuda.so" ] || fail "the bundle needs liblogratio_cuda.so: install CUDA's compiler, nvcc 13.0 or newer"

  version=$(sed -n 's,.*<revision>\(.*\)</revision>.*,\1,p' "$root/pom.xml")
  name=logratio-gpu-$version-linux-x86_64
  folder=$state/bundle/$name
  archive=$root/target/$name.tar.xz
  rm -rf "$state/bundle"
  mkdir -p "$folder"/{lib,native,tests,gpu} "$root/target"
  "$jdk/bin/jlink" --add-modules "$bundle_modules" --strip-debug --no-header-files --no-man-pages --output "$folder/runtime"
  collect_jars "$folder/lib"
  cp "$natives"/*.so "$root/bindings/target/emulator/liblogratio_emulator.so" "$folder/native"
  collect_jcuda "$folder/native"
  cp -r "$root"/{java,cli}/target/test-classes/. "$folder/tests"
  cp "$root"/bench/gpu/*.py "$folder/gpu"
  cp "$root"/scripts/bundle/* "$root/LICENSE" "$root/NOTICE" "$folder"

  # The same sources give the same archive.
  tar -C "$state/bundle" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - "$name" | xz -T2 -6 >"$archive"
  rm -rf "$state/bundle"
  if [ "$(stat -c %s "$archive")" -ge $((bundle_megabytes * 1000 * 1000)) ]; then
    fail "$archive has $(stat -c %s "$archive") bytes, expected less than $bundle_megabytes MB"
  fi
  echo "$archive"
}

# Jars of the class path that the tests have, ours without the native libraries, which lie beside as files.
collect_jars() {
  local jar
  printf '%s\n' "$(<"$root/java/target/test-classpath")" "$(<"$root/cli/target/test-classpath")" | tr ':' '\n' | while read -r jar; do
    case $jar in
      "$root"/* | */jcuda-natives-*) ;;
      *) cp "$jar" "$1" ;;
    esac
  done
  for jar in bindings java cli bench; do
    "$jdk/bin/jar" --create --file "$1/logratio-$jar.jar" -C "$root/$jar/target/classes" dev
  done
}

# JCuda finds its library in java.library.path; only that of the runtime is used.
collect_jcuda() {
  local jar
  jar=$(tr ':' '\n' <"$root/java/target/test-classpath" | grep '/jcuda-natives-')
  (cd "$1" && "$jdk/bin/jar" --extract --file "$jar" && rm -rf META-INF && mv lib/libJCudaRuntime-*.so . && rm -rf lib)
}
