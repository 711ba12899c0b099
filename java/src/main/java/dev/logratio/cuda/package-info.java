/**
 * Memory, streams and events of CUDA devices, for the CUDA backend: {@link
 * dev.logratio.cuda.CudaTensors} makes tensors on a device and copies between it and the host,
 * {@link dev.logratio.cuda.CudaStream} queues work, {@link dev.logratio.cuda.CudaEvent} times it.
 *
 * <p>What another library owns is used where it is: {@link
 * dev.logratio.Tensor#ofAddress(dev.logratio.Device, long, dev.logratio.DType, long[], long[],
 * Runnable)} wraps its device pointers and {@link dev.logratio.cuda.CudaStream#ofAddress} its
 * streams. Where JCuda is on the path, all of this runs on it, and {@link
 * dev.logratio.cuda.JCudaInterop} takes and gives its objects; without it, all runs on the native
 * library's own CUDA runtime.
 *
 * <p>Nothing here breaks on a machine without a GPU: classes load, and what needs a device throws a
 * {@link dev.logratio.BackendUnavailableException} that says in one sentence what is missing. A
 * failure of CUDA itself is an {@link java.lang.IllegalStateException} that names the call and
 * CUDA's reason, memory that cannot be had an {@link java.lang.OutOfMemoryError}. CUDA reports a
 * failed kernel with a later call.
 */
@NullMarked
package dev.logratio.cuda;

import org.jspecify.annotations.NullMarked;
