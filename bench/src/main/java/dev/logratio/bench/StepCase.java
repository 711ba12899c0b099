package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Logratio;
import dev.logratio.Tensor;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;
import java.util.Optional;

/**
 * A step in place, on logits [B,T,V], with losses, logps and metrics. libtorch's side is the
 * trainers' chain: log_softmax, gather, sum over tokens, -log sigmoid, backward, without the
 * metrics.
 */
abstract class StepCase implements Case {
    private static final int MOST_SEQUENCES = 8;

    final Arena arena = Arena.ofShared();
    final Backend cpu = Backend.cpu();
    final int sequences;
    final Tensor logits;
    final Tensor labels;
    final Tensor reference;
    private final String name;
    private final Inputs.LogitRows source;
    private final int parts;
    private final org.bytedeco.pytorch.Tensor torchLogits;
    private final org.bytedeco.pytorch.Tensor torchLabels;
    private final org.bytedeco.pytorch.Tensor torchReference;

    /**
     * Rows are those of all sequences together: up to 8, or a multiple of 8. Each sequence's
     * reference lies {@code apart} nats further from the policy than the one before, so that none
     * is saturated and every row has a gradient.
     */
    StepCase(String name, DType dtype, int rows, int columns, int libtorchParts, double apart) {
        this.name = name;
        parts = libtorchParts;
        sequences = Math.min(MOST_SEQUENCES, rows);
        int tokens = rows / sequences;
        logits = Tensor.zeros(arena, dtype, sequences, tokens, columns);
        source = new Inputs.LogitRows(arena, dtype, columns);
        source.fill(logits);
        labels = Inputs.labels(arena, columns, sequences, tokens);
        reference = Tensor.zeros(arena, DType.F32, sequences);
        Torch.threads(Logratio.threads());
        torchLogits = Torch.view(logits);
        torchLabels = Torch.view(labels);
        torchReference = Torch.view(reference);
        try (PointerScope scope = new PointerScope()) {
            for (int i = 0; i < sequences; i++) {
                var sequence = torchLogits.select(0, i).to(ScalarType.Float);
                double logp =
                        TorchFormulas.tokenLogps(sequence, torchLabels.select(0, i))
                                .sum()
                                .item_double();
                reference.setDouble(logp + apart * i, i);
            }
        }
    }

    /** What {@link #losses()} holds, in words: "pairs" or "examples". */
    abstract String unit();

    /** The tensor that {@link #ours()} writes the losses to. */
    abstract Tensor losses();

    /** libtorch's losses, from the log-probs of the first sequences and their reference. */
    abstract org.bytedeco.pytorch.Tensor libtorchLosses(
            org.bytedeco.pytorch.Tensor logps, org.bytedeco.pytorch.Tensor reference);

    private org.bytedeco.pytorch.Tensor libtorchLosses(org.bytedeco.pytorch.Tensor leaf) {
        long count = leaf.size(0);
        var logps = TorchFormulas.tokenLogps(leaf, torchLabels.narrow(0, 0, count)).sum(1);
        return libtorchLosses(logps, torchReference.narrow(0, 0, count));
    }

    @Override
    public String input() {
        return String.format(
                Locale.ROOT,
                "%d %s x %d tokens x %d, %.2f GB",
                losses().size(0),
                unit(),
                logits.size(1),
                logits.size(2),
                logits.segment().byteSize() / 1e9);
    }

    @Override
    public void prepare() {
        source.fill(logits);
    }

    @Override
    public void libtorch() {
        try (PointerScope scope = new PointerScope()) {
            libtorchLosses(Torch.leaf(torchLogits.narrow(0, 0, sequences / parts)))
                    .mean()
                    .backward();
        }
    }

    @Override
    public int libtorchParts() {
        return parts;
    }

    /** Compares the losses, and the gradient of the first and of the last sequence. */
    @Override
    public void verify() {
        try (PointerScope scope = new PointerScope()) {
            var leaf = Torch.leaf(torchLogits.to(ScalarType.Float));
            var expected = libtorchLosses(leaf);
            expected.mean().backward();
            ours();
            // libtorch adds float32 log-probs to thousands of nats, exact to about 1e-4 of loss and
            // coefficient.
            double relative = 1e-4;
            Guard.requireClose(name + " losses", Torch.view(losses()), expected, relative, 0);
            double gradRelative =
                    relative + (logits.dtype() == DType.BF16 ? Guard.BF16_ROUNDING : 0);
            for (int sequence : new int[] {0, sequences - 1}) {
                Guard.requireClose(
                        name + " grad_logits",
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
