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
import java.util.stream.IntStream;

/**
 * A step in place, on logits [B,T,V], with losses, logps and metrics. libtorch's side is the
 * trainers' chain: log_softmax, gather, sum over tokens, -log sigmoid, backward, without the
 * metrics.
 */
abstract class StepCase implements Case {
    private static final int MOST_SEQUENCES = 8;
    private static final double TOLERANCE = 1e-4;

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
        for (int i = 0; i < sequences; i++) {
            reference.setDouble(logp(i) + apart * i, i);
        }
    }

    /** The log-prob of a sequence, in float64: what thousands of float32 ones lack shows in it. */
    private double logp(int sequence) {
        try (PointerScope scope = new PointerScope()) {
            var rows = torchLogits.select(0, sequence).to(ScalarType.Double);
            return logp(rows, sequence).item_double();
        }
    }

    private org.bytedeco.pytorch.Tensor logp(org.bytedeco.pytorch.Tensor rows, int sequence) {
        return TorchFormulas.tokenLogps(rows, torchLabels.select(0, sequence)).sum();
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

    /** Compares the losses, and the gradient of the first and of the last sequence, in float64. */
    @Override
    public void verify() {
        try (PointerScope scope = new PointerScope()) {
            double[] values = IntStream.range(0, sequences).mapToDouble(this::logp).toArray();
            var logps = Torch.leaf(Torch.view(Tensor.of(arena, DType.F64, values, sequences)));
            var expected = libtorchLosses(logps, torchReference);
            expected.mean().backward();
            int last = sequences - 1;
            var ofFirst = gradient(0, logps.grad());
            var ofLast = gradient(last, logps.grad());
            ours();
            Guard.requireClose(name + " losses", Torch.view(losses()), expected, TOLERANCE, 0);
            requireGradient(0, ofFirst);
            requireGradient(last, ofLast);
        }
    }

    private org.bytedeco.pytorch.Tensor gradient(
            int sequence, org.bytedeco.pytorch.Tensor byLogps) {
        var rows = Torch.leaf(torchLogits.select(0, sequence).to(ScalarType.Double));
        logp(rows, sequence).mul(byLogps.select(0, sequence)).backward();
        return rows.grad();
    }

    private void requireGradient(int sequence, org.bytedeco.pytorch.Tensor expected) {
        double relative = TOLERANCE + (logits.dtype() == DType.BF16 ? Guard.BF16_ROUNDING : 0);
        Guard.requireClose(
                name + " grad_logits", torchLogits.select(0, sequence), expected, relative, 1e-9);
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
