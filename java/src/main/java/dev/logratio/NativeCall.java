package dev.logratio;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.logratio.bindings.DLDataType;
import dev.logratio.bindings.DLDevice;
import dev.logratio.bindings.DLTensor;
import dev.logratio.bindings.logratio_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicReference;

/**
 * The native side of one call: the argument struct and all it points to, in one block of memory. Fields are written at their offsets, and
 * the block is the one that the last call left, unless another call is at work with it: that keeps a call's overhead below a microsecond.
 *
 * <p>Every argument struct begins with its size, the address of a buffer for the error text and that buffer's capacity.
 */
final class NativeCall implements AutoCloseable {
    private static final long ERROR_ADDRESS = 8;
    private static final long ERROR_CAPACITY = 16;
    private static final long ERROR_BYTES = 256;

    private static final long DEVICE_TYPE = DLTensor.device$offset() + DLDevice.device_type$offset();
    private static final long DEVICE_ID = DLTensor.device$offset() + DLDevice.device_id$offset();
    private static final long DTYPE_CODE = DLTensor.dtype$offset() + DLDataType.code$offset();
    private static final long DTYPE_BITS = DLTensor.dtype$offset() + DLDataType.bits$offset();
    private static final long DTYPE_LANES = DLTensor.dtype$offset() + DLDataType.lanes$offset();

    private static final long BLOCK_BYTES = 4096; // twice what the largest operation takes; a write past it is an exception
    private static final AtomicReference<MemorySegment> SPARE =
            new AtomicReference<>(Arena.global().allocate(BLOCK_BYTES, Long.BYTES));

    private final Arena arena; // null if the memory is the spare block
    private final MemorySegment memory;
    private final long address;
    private final long error;
    private long end;

    /** A call with an argument struct of so many bytes. */
    NativeCall(long structBytes) {
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

    /** Points a field to a tensor; leaves it NULL if the tensor is absent. */
    void tensor(long field, Tensor tensor) {
        if (tensor == null) {
            return;
        }
        int rank = tensor.rank();
        long at = pointTo(field, DLTensor.sizeof() + 2L * rank * Long.BYTES);
        long shape = at + DLTensor.sizeof();
        long strides = shape + (long) rank * Long.BYTES;
        memory.set(JAVA_LONG, at + DLTensor.data$offset(), tensor.start());
        memory.set(JAVA_INT, at + DEVICE_TYPE, logratio_h.kDLCPU());
        memory.set(JAVA_INT, at + DEVICE_ID, 0);
        memory.set(JAVA_INT, at + DLTensor.ndim$offset(), rank);
        memory.set(JAVA_BYTE, at + DTYPE_CODE, (byte) typeCode(tensor.dtype()));
        memory.set(JAVA_BYTE, at + DTYPE_BITS, (byte) (8 * tensor.dtype().bytes()));
        memory.set(JAVA_SHORT, at + DTYPE_LANES, (short) 1);
        memory.set(JAVA_LONG, at + DLTensor.shape$offset(), address + shape);
        memory.set(JAVA_LONG, at + DLTensor.strides$offset(), address + strides);
        memory.set(JAVA_LONG, at + DLTensor.byte_offset$offset(), 0);
        for (int d = 0; d < rank; d++) {
            memory.set(JAVA_LONG, shape + (long) d * Long.BYTES, tensor.sizes()[d]);
            memory.set(JAVA_LONG, strides + (long) d * Long.BYTES, tensor.steps()[d]);
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
        if (arena == null) {
            SPARE.set(memory);
        } else {
            arena.close();
        }
    }

    private static int typeCode(DType dtype) {
        return switch (dtype) {
            case F64, F32, F16 -> logratio_h.kDLFloat();
            case BF16 -> logratio_h.kDLBfloat();
            case I64, I32 -> logratio_h.kDLInt();
            case U8 -> logratio_h.kDLUInt();
            case BOOL -> logratio_h.kDLBool();
        };
    }
}
