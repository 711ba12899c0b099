package dev.logratio.cuda;

import dev.logratio.BackendUnavailableException;
import dev.logratio.DType;
import dev.logratio.Device;
import dev.logratio.Tensor;
import dev.logratio.internal.cuda.CudaRuntime;

import java.util.Arrays;
import java.util.Objects;

/**
 * Tensors in the memory of a CUDA device and in pinned host memory, and copies between them.
 *
 * @since 0.1.0
 */
public final class CudaTensors {
    private static final long PAGE = 4096;

    private CudaTensors() {}

    /**
     * A new contiguous tensor on a device, its elements as yet of any value.
     *
     * @param device from 0
     * @param dtype element type
     * @param shape sizes, each &ge; 0
     * @return the tensor, which owns its memory; close it. Closing waits for the device
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     * @throws OutOfMemoryError if the device has no such memory left
     */
    public static Tensor empty(int device, DType dtype, long... shape) {
        long bytes = Math.max(bytes(dtype, shape), 1);
        CudaRuntime runtime = CudaRuntime.get();
        long address = runtime.allocate(device, bytes);
        Runnable free = () -> runtime.free(device, address);
        try {
            return Tensor.ofAddress(Device.cuda(device), address, dtype, shape, free);
        } catch (RuntimeException | Error e) {
            free.run();
            throw e;
        }
    }

    /**
     * A new contiguous tensor of zeros on a device.
     *
     * @param device from 0
     * @param dtype element type
     * @param shape sizes, each &ge; 0
     * @return the tensor, which owns its memory; close it
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     * @throws OutOfMemoryError if the device has no such memory left
     */
    public static Tensor zeros(int device, DType dtype, long... shape) {
        Tensor tensor = empty(device, dtype, shape);
        try {
            CudaStream legacy = CudaStream.legacy(device);
            long bytes = tensor.elementCount() * dtype.bytes();
            CudaRuntime.get().fill(device, legacy.address(), tensor.address(), (byte) 0, bytes);
            legacy.synchronize(); // other streams need not wait for the legacy one
            return tensor;
        } catch (RuntimeException | Error e) {
            tensor.close();
            throw e;
        }
    }

    /**
     * A new contiguous tensor of zeros in pinned host memory, from and to which copies run beside
     * other work. Any size.
     *
     * @param device from 0, any that will copy
     * @param dtype element type
     * @param shape sizes, each &ge; 0
     * @return a host tensor, which owns its memory; close it
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     * @throws OutOfMemoryError if there is no such memory left
     */
    public static Tensor pinned(int device, DType dtype, long... shape) {
        long pages = Math.ceilDiv(Math.max(bytes(dtype, shape), 1), PAGE) * PAGE;
        Tensor memory = Tensor.zeros(DType.U8, pages + PAGE);
        try {
            // Whole pages, so that no two pinned tensors share one: it cannot be pinned twice.
            long address = Math.ceilDiv(memory.address(), PAGE) * PAGE;
            CudaRuntime.get().pin(device, address, pages);
            return registered(device, address, dtype, shape, memory);
        } catch (RuntimeException | Error e) {
            memory.close();
            throw e;
        }
    }

    private static Tensor registered(
            int device, long address, DType dtype, long[] shape, Tensor memory) {
        Runnable unregister = () -> CudaRuntime.get().unpin(device, address);
        try {
            return Tensor.ofAddress(
                    Device.CPU,
                    address,
                    dtype,
                    shape,
                    () -> {
                        unregister.run();
                        memory.close();
                    });
        } catch (RuntimeException | Error e) {
            unregister.run();
            throw e;
        }
    }

    /**
     * Queues a copy on a stream and returns. It overlaps other work only if the host's tensor is
     * {@link #pinned}. Both tensors must stay open, and the host's unchanged, until the stream has
     * done it.
     *
     * @param to contiguous, on the stream's device or the host
     * @param from contiguous, of the same dtype and shape
     * @param stream where the copy is queued
     * @throws IllegalArgumentException if the dtypes or shapes differ, or a tensor is not
     *     contiguous or on another device
     * @throws IllegalStateException if a tensor is closed
     */
    public static void copyAsync(Tensor to, Tensor from, CudaStream stream) {
        Objects.requireNonNull(to, "to");
        Objects.requireNonNull(from, "from");
        Objects.requireNonNull(stream, "stream");
        if (to.dtype() != from.dtype() || !Arrays.equals(to.shape(), from.shape())) {
            throw new IllegalArgumentException(
                    "from is " + from + ", expected " + to + ", as to is");
        }
        requireCopyable("to", to, stream);
        requireCopyable("from", from, stream);
        long bytes = to.elementCount() * to.dtype().bytes();
        if (bytes > 0) {
            CudaRuntime.get()
                    .copy(stream.device(), stream.address(), place(to), place(from), bytes);
        }
    }

    private static CudaRuntime.Place place(Tensor tensor) {
        return new CudaRuntime.Place(tensor.address(), tensor.device().isHost());
    }

    private static void requireCopyable(String name, Tensor tensor, CudaStream stream) {
        if (!tensor.device().isHost() && tensor.device().index() != stream.device()) {
            throw new IllegalArgumentException(
                    name
                            + " is "
                            + tensor
                            + ", expected CUDA "
                            + stream.device()
                            + ", where the stream is");
        }
        if (!tensor.isContiguous()) {
            throw new IllegalArgumentException(
                    name
                            + " is "
                            + tensor
                            + " with strides "
                            + Arrays.toString(tensor.strides())
                            + ", expected a contiguous tensor");
        }
    }

    /**
     * Copies a host tensor to a device and waits until it is there.
     *
     * @param host of any strides
     * @param stream whose device takes it, and which does it after what is queued
     * @return a new contiguous tensor, which owns its memory; close it
     * @throws IllegalStateException if the tensor is closed or on a device
     */
    public static Tensor toDevice(Tensor host, CudaStream stream) {
        Objects.requireNonNull(stream, "stream");
        if (!Objects.requireNonNull(host, "host").device().isHost()) {
            throw new IllegalStateException(
                    "host is " + host + ", expected a tensor in host memory");
        }
        if (!host.isContiguous()) {
            try (Tensor packed = Tensor.zeros(host.dtype(), host.shape())) {
                return toDevice(packed.copyFrom(host), stream);
            }
        }
        return copied(empty(stream.device(), host.dtype(), host.shape()), host, stream);
    }

    /**
     * Copies a tensor from its device to the host, once the stream has done what is queued, and
     * waits until it is there.
     *
     * @param tensor on the stream's device, of any strides: from its first element to its last, all
     *     is copied
     * @param stream which does it after what is queued
     * @return a new host tensor, which owns its memory; close it
     * @throws IllegalArgumentException if the tensor is on another device
     * @throws IllegalStateException if the tensor is closed
     */
    public static Tensor toHost(Tensor tensor, CudaStream stream) {
        Objects.requireNonNull(tensor, "tensor");
        Objects.requireNonNull(stream, "stream");
        if (tensor.isContiguous()) {
            return copied(Tensor.zeros(tensor.dtype(), tensor.shape()), tensor, stream);
        }
        long[] elements = {1};
        for (int d = 0; d < tensor.rank(); d++) {
            elements[0] += (tensor.size(d) - 1) * tensor.strides()[d];
        }
        try (Tensor all =
                        Tensor.ofAddress(
                                tensor.device(), tensor.address(), tensor.dtype(), elements, null);
                Tensor here = toHost(all, stream);
                Tensor view =
                        Tensor.ofAddress(
                                here.address(),
                                tensor.dtype(),
                                tensor.shape(),
                                tensor.strides(),
                                null)) {
            return Tensor.zeros(tensor.dtype(), tensor.shape()).copyFrom(view);
        }
    }

    private static Tensor copied(Tensor to, Tensor from, CudaStream stream) {
        try {
            copyAsync(to, from, stream);
            stream.synchronize();
            return to;
        } catch (RuntimeException | Error e) {
            to.close();
            throw e;
        }
    }

    private static long bytes(DType dtype, long[] shape) {
        long bytes = Objects.requireNonNull(dtype, "dtype").bytes();
        try {
            for (long size : Objects.requireNonNull(shape, "shape")) {
                if (size < 0) {
                    throw new IllegalArgumentException(
                            "shape is " + Arrays.toString(shape) + ", expected sizes >= 0");
                }
                bytes = Math.multiplyExact(bytes, size);
            }
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException(
                    "shape " + Arrays.toString(shape) + " is larger than any memory");
        }
        return bytes;
    }
}
