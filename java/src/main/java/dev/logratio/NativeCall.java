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

/**
 * The native side of one call: the argument struct and all it points to, in one allocation that goes when the call is over. Fields are
 * written at their offsets, which keeps a call's overhead well below a microsecond.
 *
 * <p>Every argument struct begins with its size, the address of a buffer for the error text and that buffer's capacity.
 */
final class NativeCall implements AutoCloseable {
    private static final long ERROR_ADDRESS = 8;
    private static final long ERROR_CAPACITY = 16;
    private static final long ERROR_BYTES = 256;

    private static final long DEVICE_TYPE = DLTensor.device$offset() + DLDevice.device_type$offset();
    private static final long DTYPE_CODE = DLTensor.dtype$offset() + DLDataType.code$offset();
    private static final long DTYPE_BITS = DLTensor.dtype$offset() + DLDataType.bits$offset();
    private static final long DTYPE_LANES = DLTensor.dtype$offset() + DLDataType.lanes$offset();

    private final Arena arena = Arena.ofConfined();
    private final MemorySegment memory;
    private final long address;
    private final long error;
    private long end;

    /**
     * A call with an argument struct of so many bytes, so many tensors of so many dimensions at most, and so many bytes for what else the
     * struct points to.
     */
    NativeCall(long structBytes, int tensors, int dimensions, long otherBytes) {
        long bytes = structBytes + tensors * tensorBytes(dimensions) + otherBytes + ERROR_BYTES;
        memory = arena.allocate(bytes, Long.BYTES);
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

    /** Points a field to so many bytes of memory, zero as yet, and gives their offset. */
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
        long at = pointTo(field, tensorBytes(rank));
        long shape = at + DLTensor.sizeof();
        long strides = shape + (long) rank * Long.BYTES;
        memory.set(JAVA_LONG, at + DLTensor.data$offset(), tensor.start());
        memory.set(JAVA_INT, at + DEVICE_TYPE, logratio_h.kDLCPU());
        memory.set(JAVA_INT, at + DLTensor.ndim$offset(), rank);
        memory.set(JAVA_BYTE, at + DTYPE_CODE, (byte) typeCode(tensor.dtype()));
        memory.set(JAVA_BYTE, at + DTYPE_BITS, (byte) (8 * tensor.dtype().bytes()));
        memory.set(JAVA_SHORT, at + DTYPE_LANES, (short) 1);
        memory.set(JAVA_LONG, at + DLTensor.shape$offset(), address + shape);
        memory.set(JAVA_LONG, at + DLTensor.strides$offset(), address + strides);
        for (int d = 0; d < rank; d++) {
            memory.set(JAVA_LONG, shape + (long) d * Long.BYTES, tensor.sizes()[d]);
            memory.set(JAVA_LONG, strides + (long) d * Long.BYTES, tensor.steps()[d]);
        }
    }

    private static long tensorBytes(int dimensions) {
        return DLTensor.sizeof() + 2L * dimensions * Long.BYTES;
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
        arena.close();
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
