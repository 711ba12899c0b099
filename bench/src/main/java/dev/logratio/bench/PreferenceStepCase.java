package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Logratio;
import dev.logratio.PreferenceStep;
import dev.logratio.Tensor;
import dev.logratio.loss.Sigmoid;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.LongStream;

/**
 * preference_step in place: DPO on logits [2P,T,V], or packed [2PT,V], with losses, logps and
 * metrics. libtorch's side is the trainers' chain: log_softmax, gather, sum over tokens, -log
 * sigmoid, backward, without the metrics.
 */
final class PreferenceStepCase implements Case {
    private static final int MOST_SEQUENCES = 8;

    private final Arena arena = Arena.ofShared();
    private final Backend cpu = Backend.cpu();
    private final Inputs.LogitRows source;
    private final Tensor logits;
    private final Tensor losses;
    private final PreferenceStep call;
    private final int parts;
    private final int sequences;
    private final org.bytedeco.pytorch.Tensor torchLogits;
    private final org.bytedeco.pytorch.Tensor torchLabels;
    private final org.bytedeco.pytorch.Tensor torchReference;
    private final org.bytedeco.pytorch.Tensor torchBeta;

    /**
     * Rows are those of all sequences together: up to 8, an even number of them, or a multiple of
     * 8; libtorch's parts are whole pairs.
     */
    PreferenceStepCase(boolean isPacked, DType dtype, int rows, int columns, int libtorchParts) {
        parts = libtorchParts;
        sequences = Math.min(MOST_SEQUENCES, rows);
        int tokens = rows / sequences;
        logits = Tensor.zeros(arena, dtype, sequences, tokens, columns);
        source = new Inputs.LogitRows(arena, dtype, columns);
        source.fill(logits);
        Tensor labels = Inputs.labels(arena, columns, sequences, tokens);
        Tensor reference = Tensor.zeros(arena, DType.F32, sequences);
        Sigmoid dpo = new Sigmoid();
        losses = Tensor.zeros(arena, DType.F32, sequences / 2);
        call =
                (isPacked ? packed(dpo, labels) : PreferenceStep.of(dpo, logits, labels))
                        .referenceLogps(reference)
                        .losses(losses)
                        .logps(Tensor.zeros(arena, DType.F32, sequences))
                        .inPlace();
        Torch.threads(Logratio.threads());
        torchLogits = Torch.view(logits);
        torchLabels = Torch.view(labels);
        torchReference = Torch.view(reference);
        torchBeta = Torch.view(Tensor.of(arena, DType.F32, new double[] {dpo.beta()}, 1));
        centreReference(reference);
    }

    /** The same tokens, one sequence after the other. */
    private PreferenceStep packed(Sigmoid dpo, Tensor labels) {
        long tokens = labels.size(1);
        long[] ends = LongStream.rangeClosed(0, sequences).map(b -> b * tokens).toArray();
        return PreferenceStep.of(
                        dpo,
                        logits.reshape(sequences * tokens, logits.size(2)),
                        labels.reshape(sequences * tokens))
                .cuSeqlens(Tensor.of(arena, ends, ends.length));
    }

    /**
     * Puts the reference's log-probs a few nats from the policy's, so that no pair is saturated and
     * every row has a gradient.
     */
    private void centreReference(Tensor reference) {
        try (PointerScope scope = new PointerScope()) {
            for (int i = 0; i < sequences; i++) {
                var sequence = torchLogits.select(0, i).to(ScalarType.Float);
                double logp =
                        TorchFormulas.tokenLogps(sequence, torchLabels.select(0, i))
                                .sum()
                                .item_double();
                reference.setDouble(logp + 2 * i, i);
            }
        }
    }

    @Override
    public String input() {
        return String.format(
                Locale.ROOT,
                "%d pairs x %d tokens x %d, %.2f GB",
                sequences / 2,
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
            dpo(Torch.leaf(torchLogits.narrow(0, 0, sequences / parts))).mean().backward();
        }
    }

    @Override
    public int libtorchParts() {
        return parts;
    }

    /** The losses of the first sequences as a batch of their own, half of them chosen. */
    private org.bytedeco.pytorch.Tensor dpo(org.bytedeco.pytorch.Tensor leaf) {
        long pairs = leaf.size(0) / 2;
        var logps = TorchFormulas.tokenLogps(leaf, torchLabels.narrow(0, 0, 2 * pairs)).sum(1);
        var rho =
                TorchFormulas.logRatio(
                        logps.narrow(0, 0, pairs),
                        logps.narrow(0, pairs, pairs),
                        torchReference.narrow(0, 0, pairs),
                        torchReference.narrow(0, pairs, pairs));
        return TorchFormulas.sigmoid(rho, torchBeta, 0);
    }

    /** Compares the losses, and the gradient of the first and of the last sequence. */
    @Override
    public void verify() {
        try (PointerScope scope = new PointerScope()) {
            var leaf = Torch.leaf(torchLogits.to(ScalarType.Float));
            var expected = dpo(leaf);
            expected.mean().backward();
            ours();
            // libtorch adds float32 log-probs to thousands of nats, exact to about 1e-4 of loss and
            // coefficient.
            double relative = 1e-4;
            Guard.requireClose("preference_step losses", Torch.view(losses), expected, relative, 0);
            double gradRelative =
                    relative + (logits.dtype() == DType.BF16 ? Guard.BF16_ROUNDING : 0);
            for (int sequence : new int[] {0, sequences - 1}) {
                Guard.requireClose(
                        "preference_step grad_logits",
                        torchLogits.select(0, sequence),
                        leaf.grad().select(0, sequence),
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
