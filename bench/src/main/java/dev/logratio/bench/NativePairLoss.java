package dev.logratio.bench;

import dev.logratio.Tensor;
import dev.logratio.bindings.DLDataType;
import dev.logratio.bindings.DLDevice;
import dev.logratio.bindings.DLTensor;
import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_loss_options;
import dev.logratio.bindings.lr_pair_loss_args;

import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;

/** dlrml with its defaults through the C function, the argument struct filled once. */
final class NativePairLoss {
    private final Arena arena;
    private final MemorySegment args;

    /**
     * Prepares the call.
     *
     * @param operands tensors by the name of their field; all F32 and contiguous
     */
    NativePairLoss(Arena arena, Map<String, Tensor> operands) {
        this.arena = arena;
        MemorySegment options = lr_loss_options.allocate(arena);
        lr_loss_options.size(options, lr_loss_options.sizeof());
        Native.check(logratio_h.lr_loss_init(arena.allocateFrom("dlrml"), options));
        args = lr_pair_loss_args.allocate(arena);
        args.fill((byte) 0);
        lr_pair_loss_args.size(args, lr_pair_loss_args.sizeof());
        lr_pair_loss_args.loss_options(args, options);
        operands.forEach(
                (field, tensor) ->
                        args.set(
                                ValueLayout.ADDRESS,
                                lr_pair_loss_args
                                        .layout()
                                        .byteOffset(PathElement.groupElement(field)),
                                tensor(tensor)));
    }

    void run() {
        Native.check(logratio_h.lr_pair_loss(args));
    }

    private MemorySegment tensor(Tensor source) {
        MemorySegment tensor = DLTensor.allocate(arena);
        tensor.fill((byte) 0);
        DLTensor.data(tensor, source.segment());
        DLDevice.device_type(DLTensor.device(tensor), logratio_h.kDLCPU());
        DLTensor.ndim(tensor, source.rank());
        MemorySegment dtype = DLTensor.dtype(tensor);
        DLDataType.code(dtype, (byte) logratio_h.kDLFloat());
        DLDataType.bits(dtype, (byte) Float.SIZE);
        DLDataType.lanes(dtype, (short) 1);
        DLTensor.shape(tensor, arena.allocateFrom(ValueLayout.JAVA_LONG, source.shape()));
        return tensor;
    }
}
