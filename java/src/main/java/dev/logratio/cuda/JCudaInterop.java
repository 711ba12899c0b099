package dev.logratio.cuda;

import dev.logratio.BackendUnavailableException;
import dev.logratio.DType;
import dev.logratio.Device;
import dev.logratio.Tensor;
import dev.logratio.internal.cuda.JCudaHandles;
import dev.logratio.internal.cuda.JCudaLibrary;

import jcuda.Pointer;
import jcuda.runtime.cudaEvent_t;
import jcuda.runtime.cudaStream_t;

import java.util.Objects;

/**
 * For programs that use <a href="http://jcuda.org">JCuda</a>: its pointers, streams and events as
 * ours, and ours as its. Nothing is copied; whoever made a thing ends it.
 *
 * <p>JCuda is an optional dependency, {@code org.jcuda:jcuda}; a module names it and {@code
 * java.logging} in its own {@code requires}.
 *
 * @since 0.1.0
 */
public final class JCudaInterop {
    private JCudaInterop() {}

    /**
     * Has JCuda load its native library, from where nobody else can have put it: by itself JCuda
     * takes any file of the right name that lies in {@code java.io.tmpdir}. To be called before
     * JCuda's own first use of it; does nothing after that.
     *
     * @throws BackendUnavailableException if it cannot be loaded; the message says why
     */
    public static void load() {
        JCudaLibrary.load();
    }

    /**
     * A tensor over device memory of JCuda's.
     *
     * @param device from 0, where the memory is
     * @param pointer to the first element, as {@code cudaMalloc} sets it; with its byte offset
     * @param dtype element type
     * @param shape sizes, each &ge; 0; contiguous
     * @return the tensor; closing it leaves the memory alone
     * @throws IllegalArgumentException if the pointer is null or to a Java array or buffer, or not
     *     aligned
     */
    public static Tensor tensor(int device, Pointer pointer, DType dtype, long... shape) {
        long address = address("pointer", pointer);
        return Tensor.ofAddress(Device.cuda(device), address, dtype, shape, null);
    }

    /**
     * A pointer to a tensor's first element.
     *
     * @param tensor on a device or the host
     * @return the pointer, good for as long as the tensor is open
     * @throws IllegalStateException if the tensor is closed
     */
    public static Pointer pointer(Tensor tensor) {
        return JCudaHandles.pointer(Objects.requireNonNull(tensor, "tensor").address());
    }

    /**
     * A stream of JCuda's.
     *
     * @param device from 0
     * @param stream a new object or null stand for the legacy default stream
     * @return the stream; closing it frees its workspace, not the stream
     */
    public static CudaStream stream(int device, cudaStream_t stream) {
        return CudaStream.ofAddress(device, stream == null ? 0 : JCudaHandles.address(stream));
    }

    /**
     * A stream as JCuda has it.
     *
     * @param stream any
     * @return the same stream, good for as long as it is open
     */
    public static cudaStream_t stream(CudaStream stream) {
        return JCudaHandles.stream(Objects.requireNonNull(stream, "stream").address());
    }

    /**
     * An event of JCuda's.
     *
     * @param device from 0
     * @param event made by {@code cudaEventCreate}
     * @return the event; closing it does nothing
     * @throws IllegalArgumentException if the event was not made yet
     */
    public static CudaEvent event(int device, cudaEvent_t event) {
        return CudaEvent.ofAddress(device, address("event", event));
    }

    /**
     * An event as JCuda has it.
     *
     * @param event any
     * @return the same event, good for as long as it is open
     */
    public static cudaEvent_t event(CudaEvent event) {
        return JCudaHandles.event(Objects.requireNonNull(event, "event").address());
    }

    private static long address(String name, jcuda.NativePointerObject object) {
        long address = JCudaHandles.address(Objects.requireNonNull(object, name));
        if (address == 0) {
            throw new IllegalArgumentException(
                    name + " is " + object + ", expected one that JCuda's functions have set");
        }
        return address;
    }
}
