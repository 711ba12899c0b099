package dev.logratio.internal.tensor;

import dev.logratio.DType;
import dev.logratio.Device;
import dev.logratio.Tensor;
import dev.logratio.bindings.NativeMemory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Objects;

/**
 * Makes tensors: new ones, and views of memory that is there already. {@link Tensor} says what each
 * gives.
 */
public final class Tensors {
    private Tensors() {}

    /** A cache line, and the widest vector register. */
    private static final long ALIGNMENT = 64;

    public static StridedTensor zeros(DType dtype, long... shape) {
        long[] strides = Shapes.contiguousStrides(shape);
        long[] sizes = shape.clone();
        NativeMemory.Block block =
                NativeMemory.allocate(Shapes.extentBytes(dtype, sizes, strides), ALIGNMENT);
        try {
            return new StridedTensor(
                    Memory.owned(block.segment(), block.free()),
                    block.segment(),
                    dtype,
                    sizes,
                    strides);
        } catch (RuntimeException | Error e) {
            block.free().run();
            throw e;
        }
    }

    public static StridedTensor zeros(Arena arena, DType dtype, long... shape) {
        long[] strides = Shapes.contiguousStrides(shape);
        long[] sizes = shape.clone();
        long bytes = Shapes.extentBytes(dtype, sizes, strides);
        MemorySegment segment =
                Objects.requireNonNull(arena, "arena").allocate(Math.max(bytes, 1), ALIGNMENT);
        return new StridedTensor(
                Memory.borrowed(segment), segment.asSlice(0, bytes), dtype, sizes, strides);
    }

    public static StridedTensor of(DType dtype, double[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return filledOrClosed(zeros(dtype, shape), values);
    }

    public static StridedTensor of(Arena arena, DType dtype, double[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return filledOrClosed(zeros(arena, dtype, shape), values);
    }

    private static StridedTensor filledOrClosed(StridedTensor tensor, double[] values) {
        try {
            for (int i = 0; i < values.length; i++) {
                tensor.storeDouble(i, values[i]);
            }
            return tensor;
        } catch (RuntimeException | Error e) {
            tensor.close();
            throw e;
        }
    }

    public static StridedTensor of(float[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return filled(zeros(DType.F32, shape), MemorySegment.ofArray(values));
    }

    public static StridedTensor of(Arena arena, float[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return filled(zeros(arena, DType.F32, shape), MemorySegment.ofArray(values));
    }

    public static StridedTensor of(long[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return filled(zeros(DType.I64, shape), MemorySegment.ofArray(values));
    }

    public static StridedTensor of(Arena arena, long[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return filled(zeros(arena, DType.I64, shape), MemorySegment.ofArray(values));
    }

    public static StridedTensor of(boolean[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return filled(zeros(DType.BOOL, shape), ofFlags(values));
    }

    public static StridedTensor of(Arena arena, boolean[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return filled(zeros(arena, DType.BOOL, shape), ofFlags(values));
    }

    public static StridedTensor of(int[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return filled(zeros(DType.I32, shape), MemorySegment.ofArray(values));
    }

    public static StridedTensor of(Arena arena, int[] values, long... shape) {
        Shapes.requireElements(Objects.requireNonNull(values, "values").length, shape);
        return filled(zeros(arena, DType.I32, shape), MemorySegment.ofArray(values));
    }

    private static StridedTensor filled(StridedTensor tensor, MemorySegment values) {
        tensor.data().copyFrom(values);
        return tensor;
    }

    private static MemorySegment ofFlags(boolean[] values) {
        byte[] bytes = new byte[values.length];
        for (int i = 0; i < values.length; i++) {
            bytes[i] = (byte) (values[i] ? 1 : 0);
        }
        return MemorySegment.ofArray(bytes);
    }

    public static StridedTensor wrap(MemorySegment segment, DType dtype, long... shape) {
        return wrap(segment, dtype, shape, Shapes.contiguousStrides(shape));
    }

    public static StridedTensor wrap(
            MemorySegment segment, DType dtype, long[] shape, long[] strides) {
        Objects.requireNonNull(segment, "segment");
        Objects.requireNonNull(shape, "shape");
        Objects.requireNonNull(strides, "strides");
        return wrap(Memory.borrowed(segment), dtype, shape.clone(), strides.clone());
    }

    private static StridedTensor wrap(Memory memory, DType dtype, long[] shape, long[] strides) {
        MemorySegment segment = memory.segment();
        long bytes = Shapes.extentBytes(dtype, shape, strides);
        String what = StridedTensor.describe(dtype, shape);
        if (!segment.isNative()) {
            throw new IllegalArgumentException(
                    "segment of " + what + " is on the Java heap, expected native memory");
        }
        if (segment.byteSize() < bytes) {
            throw new IllegalArgumentException(
                    "segment of "
                            + what
                            + " has "
                            + segment.byteSize()
                            + " bytes, expected at least "
                            + bytes);
        }
        requireAligned(segment.address(), dtype, shape);
        return new StridedTensor(memory, segment.asSlice(0, bytes), dtype, shape, strides);
    }

    public static StridedTensor wrap(ByteBuffer buffer, DType dtype, long... shape) {
        if (!Objects.requireNonNull(buffer, "buffer").isDirect()) {
            throw new IllegalArgumentException(
                    "buffer of "
                            + StridedTensor.describe(dtype, shape)
                            + " is on the Java heap, expected a direct buffer");
        }
        if (buffer.order() != ByteOrder.nativeOrder()) {
            throw new IllegalArgumentException(
                    "buffer of "
                            + StridedTensor.describe(dtype, shape)
                            + " is "
                            + buffer.order()
                            + ", expected the machine's order: call"
                            + " buffer.order(ByteOrder.nativeOrder())");
        }
        return wrap(MemorySegment.ofBuffer(buffer), dtype, shape);
    }

    public static StridedTensor ofAddress(
            long address, DType dtype, long[] shape, long[] strides, Runnable onClose) {
        long bytes = Shapes.extentBytes(dtype, shape, strides);
        requireMemory(address, bytes, dtype, shape);
        return wrap(
                Memory.owned(NativeMemory.at(address, bytes), onClose),
                dtype,
                shape.clone(),
                strides.clone());
    }

    public static StridedTensor ofAddress(
            Device device,
            long address,
            DType dtype,
            long[] shape,
            long[] strides,
            Runnable onClose) {
        if (Objects.requireNonNull(device, "device").isHost()) {
            return ofAddress(address, dtype, shape, strides, onClose);
        }
        long bytes = Shapes.extentBytes(dtype, shape, strides);
        requireMemory(address, bytes, dtype, shape);
        requireAligned(address, dtype, shape);
        Memory memory =
                Memory.owned(
                        MemorySegment.ofAddress(address),
                        onClose); // of no bytes: the host cannot read them
        return new StridedTensor(
                memory, device, memory.segment(), bytes, dtype, shape.clone(), strides.clone());
    }

    public static StridedTensor ofAddress(
            Device device, long address, DType dtype, long[] shape, Runnable onClose) {
        return ofAddress(device, address, dtype, shape, Shapes.contiguousStrides(shape), onClose);
    }

    private static void requireMemory(long address, long bytes, DType dtype, long[] shape) {
        if (address == 0 && bytes > 0) {
            throw new IllegalArgumentException(
                    "address of "
                            + StridedTensor.describe(dtype, shape)
                            + " is 0, expected memory");
        }
    }

    private static void requireAligned(long address, DType dtype, long[] shape) {
        if (address % dtype.bytes() != 0) {
            throw new IllegalArgumentException(
                    "segment of "
                            + StridedTensor.describe(dtype, shape)
                            + " starts at address 0x"
                            + Long.toHexString(address)
                            + ", expected a multiple of "
                            + dtype.bytes());
        }
    }
}
