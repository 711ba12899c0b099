package dev.logratio.bench;

import dev.logratio.Tensor;
import dev.logratio.bindings.DLDataType;
import dev.logratio.bindings.DLDevice;
import dev.logratio.bindings.DLTensor;
import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_loss_options;
import dev.logratio.bindings.lr_pair_loss_args;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** dlrml with every gradient through the C function, its argument struct filled once. */
final class NativePairLoss {
    private final Arena arena;
    private final MemorySegment args;

    /**
     * Prepares the call. Inputs and their gradients come in the order policy chosen, policy
     * rejected, reference chosen, reference rejected; parameter gradients as beta_kl, beta_mix,
     * tau. All F32 and contiguous.
     */
    NativePairLoss(
            Arena arena,
            Tensor[] inputs,
            Tensor loss,
            Tensor[] inputGrads,
            Tensor[] parameterGrads) {
        this.arena = arena;
        MemorySegment options = lr_loss_options.allocate(arena);
        lr_loss_options.size(options, lr_loss_options.sizeof());
        Native.check(logratio_h.lr_loss_init(arena.allocateFrom("dlrml"), options));
        args = lr_pair_loss_args.allocate(arena);
        args.fill((byte) 0);
        lr_pair_loss_args.size(args, lr_pair_loss_args.sizeof());
        lr_pair_loss_args.loss_options(args, options);
        lr_pair_loss_args.policy_chosen(args, tensor(inputs[0]));
        lr_pair_loss_args.policy_rejected(args, tensor(inputs[1]));
        lr_pair_loss_args.reference_chosen(args, tensor(inputs[2]));
        lr_pair_loss_args.reference_rejected(args, tensor(inputs[3]));
        lr_pair_loss_args.loss(args, tensor(loss));
        lr_pair_loss_args.grad_policy_chosen(args, tensor(inputGrads[0]));
        lr_pair_loss_args.grad_policy_rejected(args, tensor(inputGrads[1]));
        lr_pair_loss_args.grad_reference_chosen(args, tensor(inputGrads[2]));
        lr_pair_loss_args.grad_reference_rejected(args, tensor(inputGrads[3]));
        lr_pair_loss_args.grad_beta_kl(args, tensor(parameterGrads[0]));
        lr_pair_loss_args.grad_beta_mix(args, tensor(parameterGrads[1]));
        lr_pair_loss_args.grad_tau(args, tensor(parameterGrads[2]));
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
