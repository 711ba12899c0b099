package dev.logratio.cuda;

import static jcuda.runtime.cudaError.cudaErrorMemoryAllocation;
import static jcuda.runtime.cudaError.cudaErrorNotReady;
import static jcuda.runtime.cudaError.cudaSuccess;

import jcuda.Pointer;
import jcuda.runtime.JCuda;
import jcuda.runtime.cudaError;
import jcuda.runtime.cudaEvent_t;
import jcuda.runtime.cudaMemcpyKind;
import jcuda.runtime.cudaStream_t;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;

/**
 * The calls of JCuda's runtime that are used, with addresses as numbers and failures as exceptions.
 * Nothing else touches JCuda.
 */
final class JCudaCalls {
    private JCudaCalls() {}

    // ---- Devices ----

    static int deviceCount() {
        int[] count = new int[1];
        check("cudaGetDeviceCount", JCuda.cudaGetDeviceCount(count));
        return count[0];
    }

    static int currentDevice() {
        int[] device = new int[1];
        check("cudaGetDevice", JCuda.cudaGetDevice(device));
        return device[0];
    }

    static void setDevice(int device) {
        check("cudaSetDevice", JCuda.cudaSetDevice(device));
    }

    static void synchronizeDevice() {
        check("cudaDeviceSynchronize", JCuda.cudaDeviceSynchronize());
    }

    // ---- Memory ----

    static long allocate(long bytes) {
        Address memory = new Address(0);
        check("cudaMalloc of " + bytes + " bytes", JCuda.cudaMalloc(memory, bytes));
        return memory.value();
    }

    static void free(long address) {
        check("cudaFree", JCuda.cudaFree(new Address(address)));
    }

    static void fill(long address, byte value, long bytes) {
        check("cudaMemset", JCuda.cudaMemset(new Address(address), value, bytes));
    }

    /**
     * Pins host memory. (What cudaMallocHost gives would be limited to the 2 GiB of a ByteBuffer.)
     */
    static void register(long address, long bytes) {
        check(
                "cudaHostRegister of " + bytes + " bytes",
                JCuda.cudaHostRegister(new Address(address), bytes, JCuda.cudaHostRegisterDefault));
    }

    static void unregister(long address) {
        check("cudaHostUnregister", JCuda.cudaHostUnregister(new Address(address)));
    }

    static void copy(
            long to, boolean toHost, long from, boolean fromHost, long bytes, CudaStream stream) {
        // JCuda does not know cudaMemcpyDefault.
        int kind =
                fromHost
                        ? (toHost
                                ? cudaMemcpyKind.cudaMemcpyHostToHost
                                : cudaMemcpyKind.cudaMemcpyHostToDevice)
                        : (toHost
                                ? cudaMemcpyKind.cudaMemcpyDeviceToHost
                                : cudaMemcpyKind.cudaMemcpyDeviceToDevice);
        check(
                "cudaMemcpyAsync",
                JCuda.cudaMemcpyAsync(
                        new Address(to), new Address(from), bytes, kind, handle(stream)));
    }

    // ---- Streams and events ----

    static long createStream() {
        NewStream stream = new NewStream();
        check("cudaStreamCreate", JCuda.cudaStreamCreate(stream));
        return stream.value();
    }

    static void destroy(CudaStream stream) {
        check("cudaStreamDestroy", JCuda.cudaStreamDestroy(handle(stream)));
    }

    static void synchronize(CudaStream stream) {
        check("cudaStreamSynchronize", JCuda.cudaStreamSynchronize(handle(stream)));
    }

    static boolean isDone(CudaStream stream) {
        return isDone("cudaStreamQuery", JCuda.cudaStreamQuery(handle(stream)));
    }

    static void await(CudaStream stream, cudaEvent_t event) {
        check("cudaStreamWaitEvent", JCuda.cudaStreamWaitEvent(handle(stream), event, 0));
    }

    static cudaEvent_t createEvent() {
        cudaEvent_t event = new cudaEvent_t();
        check("cudaEventCreate", JCuda.cudaEventCreate(event));
        return event;
    }

    static void destroy(cudaEvent_t event) {
        check("cudaEventDestroy", JCuda.cudaEventDestroy(event));
    }

    static void record(cudaEvent_t event, CudaStream stream) {
        check("cudaEventRecord", JCuda.cudaEventRecord(event, handle(stream)));
    }

    static void synchronize(cudaEvent_t event) {
        check("cudaEventSynchronize", JCuda.cudaEventSynchronize(event));
    }

    static boolean isDone(cudaEvent_t event) {
        return isDone("cudaEventQuery", JCuda.cudaEventQuery(event));
    }

    static double milliseconds(cudaEvent_t from, cudaEvent_t to) {
        float[] milliseconds = new float[1];
        check("cudaEventElapsedTime", JCuda.cudaEventElapsedTime(milliseconds, from, to));
        return milliseconds[0];
    }

    // ---- Results ----

    private static boolean isDone(String call, int result) {
        if (result == cudaErrorNotReady) {
            return false;
        }
        check(call, result);
        return true;
    }

    private static void check(String call, int result) {
        if (result == cudaSuccess) {
            return;
        }
        String text =
                call
                        + " failed: "
                        + cudaError.stringFor(result)
                        + ", "
                        + JCuda.cudaGetErrorString(result);
        if (result == cudaErrorMemoryAllocation) {
            throw new OutOfMemoryError(text);
        }
        throw new IllegalStateException(text);
    }

    // ---- Addresses ----

    private static final class Address extends Pointer {
        Address(long address) {
            super(address);
        }

        long value() {
            return getNativePointer();
        }
    }

    private static final class NewStream extends cudaStream_t {
        long value() {
            return getNativePointer();
        }
    }

    /**
     * Where JCuda keeps what it makes of an address. It has a constructor for it, but not for
     * others; both kinds of path let us in.
     */
    private static final MethodHandle STREAM_AT;

    static {
        try {
            STREAM_AT =
                    MethodHandles.privateLookupIn(cudaStream_t.class, MethodHandles.lookup())
                            .findConstructor(
                                    cudaStream_t.class,
                                    MethodType.methodType(void.class, long.class));
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /** JCuda's object for a stream's address. */
    static cudaStream_t streamAt(long address) {
        try {
            return (cudaStream_t) STREAM_AT.invokeExact(address);
        } catch (Throwable e) {
            throw new IllegalStateException("JCuda makes no stream of an address", e);
        }
    }

    private static cudaStream_t handle(CudaStream stream) {
        return streamAt(stream.address());
    }
}
