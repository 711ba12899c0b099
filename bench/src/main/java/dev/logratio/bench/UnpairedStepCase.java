package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Logratio;
import dev.logratio.Tensor;
import dev.logratio.UnpairedStep;
import dev.logratio.loss.Bco;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;
import java.util.Optional;

/**
 * unpaired_step in place: BCO on logits [B,T,V], every other example chosen, with losses, logps and
 * metrics. libtorch's side is the trainers' chain: log_softmax, gather, sum over tokens, -log
 * sigmoid, backward, without the metrics.
 */
final class UnpairedStepCase implements Case {
    private static final int MOST_EXAMPLES = 8;

    private final Arena arena = Arena.ofShared();
    private final Backend cpu = Backend.cpu();
    private final Inputs.LogitRows source;
    private final Tensor logits;
    private final Tensor losses;
    private final UnpairedStep call;
    private final int parts;
    private final int examples;
    private final org.bytedeco.pytorch.Tensor torchLogits;
    private final org.bytedeco.pytorch.Tensor torchLabels;
    private final org.bytedeco.pytorch.Tensor torchReference;
    private final org.bytedeco.pytorch.Tensor torchSides; // 1 of a chosen example, -1 of another
    private final org.bytedeco.pytorch.Tensor torchBeta;

    /** Rows are those of all examples together: up to 8, or a multiple of 8. */
    UnpairedStepCase(DType dtype, int rows, int columns, int libtorchParts) {
        parts = libtorchParts;
        examples = Math.min(MOST_EXAMPLES, rows);
        int tokens = rows / examples;
        logits = Tensor.zeros(arena, dtype, examples, tokens, columns);
        source = new Inputs.LogitRows(arena, dtype, columns);
        source.fill(logits);
        Tensor labels = Inputs.labels(arena, columns, examples, tokens);
        Tensor reference = Tensor.zeros(arena, DType.F32, examples);
        boolean[] chosen = new boolean[examples];
        double[] sides = new double[examples];
        for (int i = 0; i < examples; i++) {
            chosen[i] = i % 2 == 0;
            sides[i] = chosen[i] ? 1 : -1;
        }
        Bco bco = new Bco();
        losses = Tensor.zeros(arena, DType.F32, examples);
        call =
                UnpairedStep.of(bco, logits, labels, Tensor.of(arena, chosen, examples))
                        .referenceLogps(reference)
                        .losses(losses)
                        .logps(Tensor.zeros(arena, DType.F32, examples))
                        .inPlace();
        Torch.threads(Logratio.threads());
        torchLogits = Torch.view(logits);
        torchLabels = Torch.view(labels);
        torchReference = Torch.view(reference);
        torchSides = Torch.view(Tensor.of(arena, DType.F32, sides, examples));
        torchBeta = Torch.view(Tensor.of(arena, DType.F32, new double[] {bco.beta()}, 1));
        centreReference(reference);
    }

    /** Puts the reference's log-probs a few nats from the policy's, so that none is saturated. */
    private void centreReference(Tensor reference) {
        try (PointerScope scope = new PointerScope()) {
            for (int i = 0; i < examples; i++) {
                var example = torchLogits.select(0, i).to(ScalarType.Float);
                double logp =
                        TorchFormulas.tokenLogps(example, torchLabels.select(0, i))
                                .sum()
                                .item_double();
                reference.setDouble(logp + i, i);
            }
        }
    }

    @Override
    public String input() {
        return String.format(
                Locale.ROOT,
                "%d examples x %d tokens x %d, %.2f GB",
                examples,
                logits.size(1),
                logits.size(2),
                logits.segment().byteSize() / 1e9);
    }

    @Override
    public void prepare() {
        source.fill(logits);
    }

    @Override
    public void ours() {
        call.run(cpu);
    }

    @Override
    public void libtorch() {
        try (PointerScope scope = new PointerScope()) {
            bco(Torch.leaf(torchLogits.narrow(0, 0, examples / parts))).mean().backward();
        }
    }

    @Override
    public int libtorchParts() {
        return parts;
    }

    /** The losses of the first examples. */
    private org.bytedeco.pytorch.Tensor bco(org.bytedeco.pytorch.Tensor leaf) {
        long count = leaf.size(0);
        var logps = TorchFormulas.tokenLogps(leaf, torchLabels.narrow(0, 0, count)).sum(1);
        var ratios = logps.sub(torchReference.narrow(0, 0, count));
        return TorchFormulas.sigmoid(ratios.mul(torchSides.narrow(0, 0, count)), torchBeta, 0);
    }

    /** Compares the losses, and the gradient of the first and of the last example. */
    @Override
    public void verify() {
        try (PointerScope scope = new PointerScope()) {
            var leaf = Torch.leaf(torchLogits.to(ScalarType.Float));
            var expected = bco(leaf);
            expected.mean().backward();
            ours();
            // libtorch adds float32 log-probs to thousands of nats, exact to about 1e-4 of loss and
            // coefficient.
            double relative = 1e-4;
            Guard.requireClose("unpaired_step losses", Torch.view(losses), expected, relative, 0);
            double gradRelative =
                    relative + (logits.dtype() == DType.BF16 ? Guard.BF16_ROUNDING : 0);
            for (int example : new int[] {0, examples - 1}) {
                Guard.requireClose(
                        "unpaired_step grad_logits",
                        torchLogits.select(0, example),
                        leaf.grad().select(0, example),
                        gradRelative,
                        1e-9);
            }
        }
    }

    @Override
    public Optional<MemorySegment> memory() {
        return Optional.of(logits.segment());
    }

    @Override
    public void close() {
        torchLogits.close();
        arena.close();
    }
}
