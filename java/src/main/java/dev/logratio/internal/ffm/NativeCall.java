package dev.logratio.internal.ffm;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.logratio.DType;
import dev.logratio.bindings.DLTensor;
import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_cuda;
import dev.logratio.bindings.lr_linear_plan;
import dev.logratio.bindings.lr_loss_options;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.StepOptions;
import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/**
 * The native side of a call: the argument struct and all it points to, in one block of memory that
 * many calls may use, one after the other. Fields are written at their offsets, which keeps a
 * call's overhead below a microsecond.
 *
 * <p>Every argument struct begins with its size, the address of a buffer for the error text and
 * that buffer's capacity.
 */
final class NativeCall {
    private static final long ERROR_ADDRESS = 8;
    private static final long ERROR_CAPACITY = 16;
    private static final long ERROR_BYTES = 256;

    // Fields side by side are written as one number, the first in its low bits.
    private static final long TYPE_AND_ID = DLTensor.device$offset();
    private static final long RANK_AND_DTYPE = DLTensor.ndim$offset();
    private static final long[] DTYPES =
            Arrays.stream(DType.values()).mapToLong(NativeCall::dtypeFields).toArray();

    /** Twice what the largest operation takes; a write past it is an exception. */
    private static final long BLOCK_BYTES = 8192;

    private final int deviceType;
    private final MemorySegment memory = Arena.ofAuto().allocate(BLOCK_BYTES, Long.BYTES);
    private final long address = memory.address();
    private NativeOperation operation;
    private Staging staging; // null where the tensors are on the device already
    private MemorySegment terms; // a step's losses where they do not fit the block, kept reachable
    private long plan; // where a linear operation's is; 0 for none
    private long end;
    private long stamp; // of the call that is written down; 0 for one that is to be written anew

    /** A block for calls on tensors of one kind of device, by DLPack's number. */
    NativeCall(int deviceType) {
        this.deviceType = deviceType;
    }

    /**
     * Writes a call down, unless it was the last one and has not changed.
     *
     * @param staging takes the tensors to the device, null where they are there already
     */
    void write(Call call, Staging staging) {
        boolean isWritten =
                stamp != 0 && stamp == call.stamp() && staging == null && !call.wantsMetrics();
        if (isWritten) {
            return;
        }
        stamp = 0;
        operation = NativeOperation.of(call.signature());
        this.staging = staging;
        clear(0, operation.bytes());
        end = operation.bytes() + ERROR_BYTES;
        memory.set(JAVA_LONG, 0, operation.bytes());
        memory.set(JAVA_LONG, ERROR_ADDRESS, address + operation.bytes());
        memory.set(JAVA_LONG, ERROR_CAPACITY, ERROR_BYTES);
        Object[] options = call.options();
        for (int i = 0; i < options.length; i++) {
            options(operation.options(i), options[i]);
        }
        for (int i = 0; i < operation.operands(); i++) {
            StridedTensor tensor = call.tensor(i);
            if (tensor != null) {
                tensor(i, tensor);
            }
        }
        plan = operation.plan() < 0 ? 0 : pointTo(operation.plan(), lr_linear_plan.sizeof());
        stamp = call.wantsMetrics() || staging != null ? 0 : call.stamp();
    }

    private void clear(long from, long bytes) {
        for (long at = from; at < from + bytes; at += Long.BYTES) {
            memory.set(JAVA_LONG, at, 0);
        }
    }

    // ---- Options ----

    private void options(long field, Object options) {
        switch (options) {
            case StepOptions step -> step(step);
            case Loss loss ->
                    OptionsStruct.write(loss, memory, pointTo(field, lr_loss_options.sizeof()));
            default -> OptionsStruct.write(options, memory, field);
        }
    }

    /** The losses of a step and their weights; a single one stays within the block. */
    private void step(StepOptions step) {
        List<WeightedLoss> losses = step.losses();
        int count = losses.size();
        NativeOperation.StepFields fields = operation.step();
        memory.set(JAVA_INT, fields.wpo(), step.wpo().ordinal());
        memory.set(JAVA_DOUBLE, fields.tokenCount(), step.tokenCount());
        memory.set(JAVA_LONG, fields.lossCount(), count);
        if (count == 1 && losses.getFirst().weight() == 1) {
            options(fields.losses(), losses.getFirst().loss());
            return;
        }
        long bytes = lr_loss_options.sizeof();
        terms = Arena.ofAuto().allocate(count * (bytes + Double.BYTES), Long.BYTES);
        for (int k = 0; k < count; k++) {
            OptionsStruct.write(losses.get(k).loss(), terms, k * bytes);
            terms.set(JAVA_DOUBLE, count * bytes + k * Double.BYTES, losses.get(k).weight());
        }
        memory.set(JAVA_LONG, fields.losses(), terms.address());
        memory.set(JAVA_LONG, fields.lossWeights(), terms.address() + count * bytes);
    }

    // ---- Tensors ----

    private void tensor(int operand, StridedTensor tensor) {
        int rank = tensor.rank();
        long[] sizes = tensor.sizes();
        long[] steps = tensor.steps();
        long sizesBytes = (long) rank * Long.BYTES;
        boolean dense = tensor.isContiguous();
        long at =
                pointTo(
                        operation.operand(operand),
                        DLTensor.sizeof() + (dense ? 1 : 2) * sizesBytes);
        long shape = at + DLTensor.sizeof();
        long strides = shape + sizesBytes;
        long device = deviceType | (long) tensor.device().index() << Integer.SIZE;
        memory.set(JAVA_LONG, at + DLTensor.data$offset(), tensor.start());
        memory.set(JAVA_LONG, at + TYPE_AND_ID, device);
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
            staging.add(at + DLTensor.data$offset(), tensor, operation.isOutput(operand));
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

    // ---- What backends add ----

    /** Points a field to so many bytes of the block, of any content as yet: their offset. */
    long pointTo(long field, long bytes) {
        long offset = end;
        end += bytes;
        memory.set(JAVA_LONG, field, address + offset);
        return offset;
    }

    /** Points the field of the {@code lr_cuda} struct to an empty one: its offset. */
    long pointToCuda() {
        long bytes = lr_cuda.sizeof();
        boolean isThere = memory.get(JAVA_LONG, operation.cuda()) != 0;
        long offset =
                isThere
                        ? memory.get(JAVA_LONG, operation.cuda()) - address
                        : pointTo(operation.cuda(), bytes);
        clear(offset, bytes);
        memory.set(JAVA_LONG, offset + lr_cuda.size$offset(), bytes);
        return offset;
    }

    /** The field that points to the metrics. */
    long metrics() {
        return operation.metrics();
    }

    /** The plan that a call of a linear operation wrote, an {@code lr_linear_plan}; else null. */
    MemorySegment plan() {
        return plan == 0 ? null : part(plan, lr_linear_plan.sizeof());
    }

    void put(long field, long value) {
        memory.set(JAVA_LONG, field, value);
    }

    long get(long field) {
        return memory.get(JAVA_LONG, field);
    }

    MemorySegment part(long offset, long bytes) {
        return memory.asSlice(offset, bytes);
    }

    // ---- Running ----

    /** Calls the function; throws what its status stands for. */
    void call() {
        int status = operation.function().call(memory);
        if (status != logratio_h.LR_OK()) {
            throw NativeStatus.exception(status, memory.getString(operation.bytes()));
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

    /** Lets go of what the last call brought along. */
    void done() {
        if (staging != null) {
            staging.close();
            staging = null;
        }
    }
}
