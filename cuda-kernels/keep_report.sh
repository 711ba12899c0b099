#!/bin/sh
# keep_report.sh FILE COMMAND...: runs a compiler. What ptxas reports on the kernels goes to FILE, all else to standard error.
report=$1
shift
"$@" >"$report" 2>&1
status=$?
grep -vE '^ptxas info|bytes stack frame' "$report" >&2
exit $status
