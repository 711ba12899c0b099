package dev.logratio;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.logratio.bindings.DLTensor;
import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReference;

/**
 * The native side of one call: the argument struct and all it points to, in one block of memory.
 * Fields are written at their offsets, and the block is the one that the last call left, unless
 * another call is at work with it: that keeps a call's overhead below a microsecond.
 *
 * <p>Every argument struct begins with its size, the address of a buffer for the error text and
 * that buffer's capacity.
 */
final class NativeCall implements AutoCloseable {
    private static final long ERROR_ADDRESS = 8;
    private static final long ERROR_CAPACITY = 16;
    private static final long ERROR_BYTES = 256;

    // Fields side by side are written as one number, the first in its low bits.
    private static final long TYPE_AND_ID = DLTensor.device$offset();
    private static final long RANK_AND_DTYPE = DLTensor.ndim$offset();
    private static final long[] DTYPES =
            Arrays.stream(DType.values()).mapToLong(NativeCall::dtypeFields).toArray();

    private static final long BLOCK_BYTES =
            4096; // twice what the largest operation takes; a write past it is an exception
    private static final AtomicReference<MemorySegment> SPARE =
            new AtomicReference<>(Arena.global().allocate(BLOCK_BYTES, Long.BYTES));

    private final int deviceType;
    private final long cudaField;
    private final Staging staging;
    private final Arena arena; // null if the memory is the spare block
    private final MemorySegment memory;
    private final long address;
    private final long error;
    private long end;

    /**
     * A call on tensors of one kind of device.
     *
     * @param structBytes size of the argument struct
     * @param cudaField where the argument struct points to its {@code lr_cuda}
     * @param deviceType DLPack's number of the device
     * @param staging takes the tensors to the device, null where they are there already
     */
    NativeCall(long structBytes, long cudaField, int deviceType, Staging staging) {
        this.cudaField = cudaField;
        this.deviceType = deviceType;
        this.staging = staging;
        MemorySegment spare = SPARE.getAndSet(null);
        arena = spare == null ? Arena.ofConfined() : null;
        memory = spare == null ? arena.allocate(BLOCK_BYTES, Long.BYTES) : spare;
        memory.asSlice(0, structBytes).fill((byte) 0);
        address = memory.address();
        error = structBytes;
        end = structBytes + ERROR_BYTES;
        memory.set(JAVA_LONG, 0, structBytes);
        memory.set(JAVA_LONG, ERROR_ADDRESS, address + error);
        memory.set(JAVA_LONG, ERROR_CAPACITY, ERROR_BYTES);
    }

    /** The memory, the argument struct at its beginning. */
    MemorySegment memory() {
        return memory;
    }

    /** Points a field to so many bytes of memory, of any content as yet, and gives their offset. */
    long pointTo(long field, long bytes) {
        long offset = end;
        end += bytes;
        memory.set(JAVA_LONG, field, address + offset);
        return offset;
    }

    /** Points the field of the {@code lr_cuda} struct to an empty one, and gives its offset. */
    long pointToCuda() {
        long offset = pointTo(cudaField, lr_cuda.sizeof());
        memory.asSlice(offset, lr_cuda.sizeof()).fill((byte) 0);
        memory.set(JAVA_LONG, offset + lr_cuda.size$offset(), lr_cuda.sizeof());
        return offset;
    }

    /** Points a field to an input; leaves it NULL if the tensor is absent. */
    void input(long field, Tensor tensor) {
        if (tensor != null) {
            tensor(field, tensor, false);
        }
    }

    /** Points a field to an output; leaves it NULL if the tensor is not wanted. */
    void output(long field, Tensor tensor) {
        if (tensor != null) {
            tensor(field, tensor, true);
        }
    }

    private void tensor(long field, Tensor tensor, boolean isOutput) {
        int rank = tensor.rank();
        long[] sizes = tensor.sizes();
        long[] steps = tensor.steps();
        long sizesBytes = (long) rank * Long.BYTES;
        boolean dense = tensor.isContiguous();
        long at = pointTo(field, DLTensor.sizeof() + (dense ? 1 : 2) * sizesBytes);
        long shape = at + DLTensor.sizeof();
        long strides = shape + sizesBytes;
        memory.set(JAVA_LONG, at + DLTensor.data$offset(), tensor.start());
        memory.set(
                JAVA_LONG,
                at + TYPE_AND_ID,
                deviceType | (long) tensor.device().index() << Integer.SIZE);
        memory.set(JAVA_LONG, at + RANK_AND_DTYPE, rank | DTYPES[tensor.dtype().ordinal()]);
        memory.set(JAVA_LONG, at + DLTensor.shape$offset(), address + shape);
        memory.set(JAVA_LONG, at + DLTensor.strides$offset(), dense ? 0 : address + strides);
        memory.set(JAVA_LONG, at + DLTensor.byte_offset$offset(), 0);
        for (int d = 0; d < rank; d++) {
            memory.set(JAVA_LONG, shape + (long) d * Long.BYTES, sizes[d]);
            if (!dense) {
                memory.set(JAVA_LONG, strides + (long) d * Long.BYTES, steps[d]);
            }
        }
        if (staging != null) {
            staging.add(at + DLTensor.data$offset(), tensor, isOutput);
        }
    }

    /** Takes host tensors to the device, if they are not there already. */
    void toDevice() {
        if (staging != null) {
            staging.toDevice(this);
        }
    }

    /** Brings the outputs back to the host, if they belong there. */
    void toHost() {
        if (staging != null) {
            staging.toHost();
        }
    }

    void put(long field, int value) {
        memory.set(JAVA_INT, field, value);
    }

    void put(long field, long value) {
        memory.set(JAVA_LONG, field, value);
    }

    void put(long field, double value) {
        memory.set(JAVA_DOUBLE, field, value);
    }

    /** Throws what a status stands for. */
    void check(int status) {
        if (status != logratio_h.LR_OK()) {
            throw NativeStatus.exception(status, memory.getString(error));
        }
    }

    @Override
    public void close() {
        if (staging != null) {
            staging.close();
        }
        if (arena == null) {
            SPARE.set(memory);
        } else {
            arena.close();
        }
    }

    /** A dtype's code, bits and lanes, in the upper half of a number. */
    private static long dtypeFields(DType dtype) {
        int code =
                switch (dtype) {
                    case F64, F32, F16 -> logratio_h.kDLFloat();
                    case BF16 -> logratio_h.kDLBfloat();
                    case I64, I32 -> logratio_h.kDLInt();
                    case U8 -> logratio_h.kDLUInt();
                    case BOOL -> logratio_h.kDLBool();
                };
        int bits = dtype.bytes() * Byte.SIZE;
        int lanes = 1;
        return (code | (long) bits << Byte.SIZE | (long) lanes << Short.SIZE) << Integer.SIZE;
    }
}
