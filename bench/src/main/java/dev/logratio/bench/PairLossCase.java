package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Logratio;
import dev.logratio.PairLoss;
import dev.logratio.PreparedCall;
import dev.logratio.Tensor;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.internal.check.PairLossOperand;
import dev.logratio.internal.check.Signature;
import dev.logratio.loss.Dlrml;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * pair_loss: dlrml with the loss and every gradient, of its parameters too; libtorch computes the
 * same by the formula and autograd.
 */
final class PairLossCase implements Case {
    private final Arena arena = Arena.ofShared();
    private final Backend cpu = Backend.cpu();
    private final int pairs;
    private final Tensor[] inputs = new Tensor[4];
    private final Tensor[] inputGrads = new Tensor[4];
    private final Tensor[] parameterGrads = new Tensor[3];
    private final Tensor loss;
    private final PairLoss call;
    private final PreparedCall prepared;
    private final NativePairLoss nativeCall;
    private final org.bytedeco.pytorch.Tensor[] torchInputs = new org.bytedeco.pytorch.Tensor[4];
    private final org.bytedeco.pytorch.Tensor[] torchParameters =
            new org.bytedeco.pytorch.Tensor[3];

    PairLossCase(int pairs) {
        this.pairs = pairs;
        Torch.threads(Logratio.threads());
        for (int i = 0; i < inputs.length; i++) {
            inputs[i] = Inputs.sequenceLogps(arena, i, pairs);
            inputGrads[i] = Tensor.zeros(arena, DType.F32, pairs);
            torchInputs[i] = Torch.view(inputs[i]);
        }
        Dlrml dlrml = new Dlrml();
        double[] parameters = {dlrml.betaKl(), dlrml.betaMix(), dlrml.tau()};
        for (int i = 0; i < parameters.length; i++) {
            parameterGrads[i] = Tensor.zeros(arena, DType.F32, 1);
            torchParameters[i] =
                    Torch.view(Tensor.of(arena, DType.F32, new double[] {parameters[i]}, 1));
        }
        loss = Tensor.zeros(arena, DType.F32, pairs);
        call =
                PairLoss.of(dlrml, inputs[0], inputs[1])
                        .reference(inputs[2], inputs[3])
                        .losses(loss)
                        .gradPolicy(inputGrads[0], inputGrads[1])
                        .gradReference(inputGrads[2], inputGrads[3])
                        .gradBetaKl(parameterGrads[0])
                        .gradBetaMix(parameterGrads[1])
                        .gradTau(parameterGrads[2]);
        prepared = call.prepare(cpu);
        nativeCall = new NativePairLoss(arena, operands());
    }

    /** The tensors by the names of their operands, whose declarations have the order of ours. */
    private Map<String, Tensor> operands() {
        List<String> logProbs = declared(Presence.REQUIRED, Presence.REFERENCE);
        List<String> parameters = declared(Presence.OPTION);
        Map<String, Tensor> operands = new HashMap<>();
        operands.put(PairLossOperand.LOSS.id(), loss);
        for (int i = 0; i < inputs.length; i++) {
            operands.put(logProbs.get(i), inputs[i]);
            operands.put("grad_" + logProbs.get(i), inputGrads[i]);
        }
        for (int i = 0; i < parameterGrads.length; i++) {
            operands.put("grad_" + parameters.get(i), parameterGrads[i]);
        }
        return operands;
    }

    private static List<String> declared(Presence... presences) {
        return Signature.PAIR_LOSS.operands().stream()
                .filter(one -> Set.of(presences).contains(one.declaration().presence()))
                .map(Operand::id)
                .toList();
    }

    @Override
    public String input() {
        return pairs + " pairs, f32";
    }

    @Override
    public void ours() {
        call.run(cpu);
    }

    /** The same call, bound once to its tensors. */
    void prepared() {
        prepared.run();
    }

    /**
     * The same call straight to the C function, its arguments prepared; the difference is what the
     * Java layer costs.
     */
    void throughC() {
        nativeCall.run();
    }

    @Override
    public void libtorch() {
        try (PointerScope scope = new PointerScope()) {
            autograd(torchInputs, torchParameters);
        }
    }

    @Override
    public void verify() {
        try (PointerScope scope = new PointerScope()) {
            Graph expected = autograd(raised(torchInputs), raised(torchParameters));
            ours();
            Guard.requireClose(
                    "pair_loss loss", Torch.view(loss), expected.losses, Guard.FLOAT32, 1e-9);
            for (int i = 0; i < inputs.length; i++) {
                Guard.requireClose(
                        "pair_loss gradient of log-probs",
                        Torch.view(inputGrads[i]),
                        expected.inputs[i].grad(),
                        Guard.FLOAT32,
                        1e-9);
            }
            // Libtorch's parameters are float32 values of .05 and .2, which moves a sum over pairs
            // by about 1e-7 of its terms.
            for (int i = 0; i < parameterGrads.length; i++) {
                Guard.requireClose(
                        "pair_loss gradient of a parameter",
                        Torch.view(parameterGrads[i]),
                        expected.parameters[i].grad(),
                        Guard.FLOAT32,
                        1e-6);
            }
        }
    }

    private record Graph(
            org.bytedeco.pytorch.Tensor losses,
            org.bytedeco.pytorch.Tensor[] inputs,
            org.bytedeco.pytorch.Tensor[] parameters) {}

    private static Graph autograd(
            org.bytedeco.pytorch.Tensor[] inputs, org.bytedeco.pytorch.Tensor[] parameters) {
        var x = leaves(inputs);
        var p = leaves(parameters);
        var losses =
                TorchFormulas.dlrml(
                        TorchFormulas.logRatio(x[0], x[1], x[2], x[3]), p[0], p[1], p[2]);
        losses.mean().backward();
        return new Graph(losses, x, p);
    }

    private static org.bytedeco.pytorch.Tensor[] leaves(org.bytedeco.pytorch.Tensor[] tensors) {
        var leaves = new org.bytedeco.pytorch.Tensor[tensors.length];
        for (int i = 0; i < tensors.length; i++) {
            leaves[i] = Torch.leaf(tensors[i]);
        }
        return leaves;
    }

    private static org.bytedeco.pytorch.Tensor[] raised(org.bytedeco.pytorch.Tensor[] tensors) {
        var raised = new org.bytedeco.pytorch.Tensor[tensors.length];
        for (int i = 0; i < tensors.length; i++) {
            raised[i] = tensors[i].to(ScalarType.Double);
        }
        return raised;
    }

    @Override
    public Optional<MemorySegment> memory() {
        return Optional.empty();
    }

    @Override
    public void close() {
        prepared.close();
        arena.close();
    }
}
