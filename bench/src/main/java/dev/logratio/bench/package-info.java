/**
 * Benchmarks of Logratio beside libtorch and beside the bandwidth of the machine, all in one run.
 *
 * <p>A {@link dev.logratio.bench.Case} is one operation on one input with both implementations of
 * it. The same cases are timed by JMH and by the alternating loop, whose per-round ratios are the
 * ones to quote. {@link dev.logratio.bench.report} makes documents of what they find. The package
 * runs on the class path, where it reaches the library's bindings for the bandwidth probe and the
 * declarations of the operands.
 */
package dev.logratio.bench;
