#!/bin/sh
# keep_report.sh OBJECT COMMAND...: runs a compiler. What ptxas reports on the kernels goes to OBJECT.report, all else to standard error. Of a
# CUDA source the PTX stays in OBJECT.kept, too, so that a test need not compile it once more.
object=$1
shift
kept=
case $object in
  *.cu.o)
    kept=$object.kept
    rm -rf "$kept"
    mkdir -p "$kept"
    set -- "$@" --keep --keep-dir "$kept"
    ;;
esac
"$@" >"$object.report" 2>&1
status=$?
[ -z "$kept" ] || find "$kept" -type f ! -name '*.ptx' -delete
grep -vE '^ptxas info|bytes stack frame' "$object.report" >&2
exit $status
