package dev.logratio.internal.cuda;

import static jcuda.runtime.cudaError.cudaErrorInvalidDevice;
import static jcuda.runtime.cudaError.cudaErrorMemoryAllocation;
import static jcuda.runtime.cudaError.cudaErrorNotReady;
import static jcuda.runtime.cudaError.cudaSuccess;

import dev.logratio.BackendUnavailableException;

import jcuda.Pointer;
import jcuda.runtime.JCuda;
import jcuda.runtime.cudaError;
import jcuda.runtime.cudaEvent_t;
import jcuda.runtime.cudaMemcpyKind;
import jcuda.runtime.cudaStream_t;

import java.util.function.IntSupplier;

/** CUDA's runtime by JCuda, whose native library must be loaded. */
final class JCudaRuntime implements CudaRuntime {
    // ---- Devices ----

    @Override
    public int deviceCount() {
        int[] count = new int[1];
        check("cudaGetDeviceCount", JCuda.cudaGetDeviceCount(count));
        return count[0];
    }

    @Override
    public int currentDevice() {
        int[] device = new int[1];
        check("cudaGetDevice", JCuda.cudaGetDevice(device));
        return device[0];
    }

    @Override
    public void setCurrentDevice(int device) {
        int result = JCuda.cudaSetDevice(device);
        if (result == cudaErrorInvalidDevice) {
            int count = deviceCount();
            throw new BackendUnavailableException(
                    "there is no CUDA device "
                            + device
                            + ": this process sees "
                            + count
                            + (count == 1 ? " device, number 0" : " devices, from 0 on"));
        }
        check("cudaSetDevice", result);
    }

    @Override
    public void synchronizeDevice(int device) {
        on(device, "cudaDeviceSynchronize", JCuda::cudaDeviceSynchronize);
    }

    // ---- Memory ----

    @Override
    public long allocate(int device, long bytes) {
        Pointer memory = new Pointer();
        on(device, "cudaMalloc of " + bytes + " bytes", () -> JCuda.cudaMalloc(memory, bytes));
        return JCudaHandles.address(memory);
    }

    @Override
    public void free(int device, long address) {
        on(device, "cudaFree", () -> JCuda.cudaFree(pointer(address)));
    }

    @Override
    public void fill(int device, long stream, long address, byte value, long bytes) {
        on(
                device,
                "cudaMemsetAsync",
                () -> JCuda.cudaMemsetAsync(pointer(address), value, bytes, stream(stream)));
    }

    /** What cudaMallocHost gives would be limited to the 2 GiB of a ByteBuffer. */
    @Override
    public void pin(int device, long address, long bytes) {
        on(
                device,
                "cudaHostRegister of " + bytes + " bytes",
                () ->
                        JCuda.cudaHostRegister(
                                pointer(address), bytes, JCuda.cudaHostRegisterDefault));
    }

    @Override
    public void unpin(int device, long address) {
        on(device, "cudaHostUnregister", () -> JCuda.cudaHostUnregister(pointer(address)));
    }

    @Override
    public void copy(int device, long stream, Place to, Place from, long bytes) {
        on(
                device,
                "cudaMemcpyAsync",
                () ->
                        JCuda.cudaMemcpyAsync(
                                pointer(to.address()),
                                pointer(from.address()),
                                bytes,
                                kind(to.isHost(), from.isHost()),
                                stream(stream)));
    }

    /** JCuda does not know cudaMemcpyDefault. */
    private static int kind(boolean toHost, boolean fromHost) {
        if (fromHost) {
            return toHost
                    ? cudaMemcpyKind.cudaMemcpyHostToHost
                    : cudaMemcpyKind.cudaMemcpyHostToDevice;
        }
        return toHost
                ? cudaMemcpyKind.cudaMemcpyDeviceToHost
                : cudaMemcpyKind.cudaMemcpyDeviceToDevice;
    }

    // ---- Streams ----

    @Override
    public long createStream(int device) {
        cudaStream_t stream = new cudaStream_t();
        on(device, "cudaStreamCreate", () -> JCuda.cudaStreamCreate(stream));
        return JCudaHandles.address(stream);
    }

    @Override
    public void destroyStream(int device, long stream) {
        on(device, "cudaStreamDestroy", () -> JCuda.cudaStreamDestroy(stream(stream)));
    }

    @Override
    public void synchronizeStream(int device, long stream) {
        on(device, "cudaStreamSynchronize", () -> JCuda.cudaStreamSynchronize(stream(stream)));
    }

    @Override
    public boolean isStreamDone(int device, long stream) {
        return isDone(device, "cudaStreamQuery", () -> JCuda.cudaStreamQuery(stream(stream)));
    }

    @Override
    public void await(int device, long stream, long event) {
        on(
                device,
                "cudaStreamWaitEvent",
                () -> JCuda.cudaStreamWaitEvent(stream(stream), event(event), 0));
    }

    // ---- Events ----

    @Override
    public long createEvent(int device) {
        cudaEvent_t event = new cudaEvent_t();
        on(device, "cudaEventCreate", () -> JCuda.cudaEventCreate(event));
        return JCudaHandles.address(event);
    }

    @Override
    public void destroyEvent(int device, long event) {
        on(device, "cudaEventDestroy", () -> JCuda.cudaEventDestroy(event(event)));
    }

    @Override
    public void record(int device, long event, long stream) {
        on(device, "cudaEventRecord", () -> JCuda.cudaEventRecord(event(event), stream(stream)));
    }

    @Override
    public void synchronizeEvent(int device, long event) {
        on(device, "cudaEventSynchronize", () -> JCuda.cudaEventSynchronize(event(event)));
    }

    @Override
    public boolean isEventDone(int device, long event) {
        return isDone(device, "cudaEventQuery", () -> JCuda.cudaEventQuery(event(event)));
    }

    @Override
    public double milliseconds(int device, long start, long end) {
        float[] milliseconds = new float[1];
        on(
                device,
                "cudaEventElapsedTime",
                () -> JCuda.cudaEventElapsedTime(milliseconds, event(start), event(end)));
        return milliseconds[0];
    }

    // ---- Calls ----

    private void on(int device, String call, IntSupplier function) {
        check(call, result(device, function));
    }

    private boolean isDone(int device, String call, IntSupplier function) {
        int result = result(device, function);
        if (result == cudaErrorNotReady) {
            return false;
        }
        check(call, result);
        return true;
    }

    private int result(int device, IntSupplier function) {
        int before = currentDevice();
        if (before == device) {
            return function.getAsInt();
        }
        setCurrentDevice(device);
        try {
            return function.getAsInt();
        } finally {
            setCurrentDevice(before);
        }
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

    private static Pointer pointer(long address) {
        return JCudaHandles.pointer(address);
    }

    private static cudaStream_t stream(long address) {
        return JCudaHandles.stream(address);
    }

    private static cudaEvent_t event(long address) {
        return JCudaHandles.event(address);
    }
}
