/**
 * Benchmarks of the CUDA kernels beside the bandwidth of the GPU's memory. They need no libtorch:
 * the peers are timed from Python.
 */
package dev.logratio.bench.cuda;
