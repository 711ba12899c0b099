package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Logratio;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;
import java.util.Optional;
import java.util.SplittableRandom;

/**
 * token_logprobs with K labels per row, on logits [N,V], as of a teacher's top-k: the labels hold
 * nearly all of the probability, so that a tail is summed over the other columns. libtorch's side
 * is eager log_softmax and gather, and autograd, without a tail.
 */
final class SeveralLabelsCase implements Case {
    private static final long SEED = 20250307;

    /** Above the largest of a row's other logits. */
    private static final double LABEL_LOGIT = 24;

    private static final int CHECKED_ROWS = 16;

    private final Arena arena = Arena.ofShared();
    private final Backend cpu = Backend.cpu();
    private final boolean hasTail;
    private final boolean hasBackward;
    private final int rows;
    private final int perRow;
    private final Tensor logits;
    private final Tensor labels;
    private final Tensor logp;
    private final Tensor tail;
    private final Inputs.LogitRows source;
    private final TokenLogprobs forward;
    private final TokenLogprobsBackward backward;
    private final int parts;
    private final org.bytedeco.pytorch.Tensor torchLogits;
    private final org.bytedeco.pytorch.Tensor torchLabels;

    SeveralLabelsCase(
            int perRow,
            boolean hasTail,
            boolean hasBackward,
            DType dtype,
            int rows,
            int columns,
            int parts) {
        this.perRow = perRow;
        this.hasTail = hasTail;
        this.hasBackward = hasBackward;
        this.rows = rows;
        this.parts = parts;
        logits = Tensor.zeros(arena, dtype, rows, columns);
        labels = labels(columns);
        source = new Inputs.LogitRows(arena, dtype, columns);
        prepare();
        logp = Tensor.zeros(arena, DType.F32, rows, perRow);
        tail = Tensor.zeros(arena, DType.F64, rows);
        Tensor lse = Tensor.zeros(arena, DType.F64, rows);
        Tensor ones = Tensor.zeros(arena, DType.F32, rows, perRow);
        ones.fill(1);
        forward = TokenLogprobs.of(logits, labels).logp(logp).lse(lse);
        if (hasTail) {
            forward.tail(tail);
        }
        backward = TokenLogprobsBackward.of(logits, labels, lse).gradLogp(ones).inPlace();
        Torch.threads(Logratio.threads());
        torchLogits = Torch.view(logits);
        torchLabels = Torch.view(labels);
    }

    /** Columns apart by the same step in each row, from another one on. */
    private Tensor labels(int columns) {
        SplittableRandom random = new SplittableRandom(SEED);
        long[] all = new long[rows * perRow];
        for (int row = 0; row < rows; row++) {
            int first = random.nextInt(columns);
            for (int k = 0; k < perRow; k++) {
                all[row * perRow + k] = (first + (long) k * (columns / perRow)) % columns;
            }
        }
        return Tensor.of(arena, all, rows, perRow);
    }

    @Override
    public String input() {
        return String.format(
                Locale.ROOT,
                "%d x %d, %d labels, %.2f GB",
                rows,
                logits.size(1),
                perRow,
                logits.segment().byteSize() / 1e9);
    }

    @Override
    public void prepare() {
        source.fill(logits);
        for (int row = 0; row < rows; row++) {
            for (int k = 0; k < perRow; k++) {
                logits.setDouble(LABEL_LOGIT, row, labels.getLong(row, k));
            }
        }
    }

    @Override
    public void ours() {
        forward.run(cpu);
        if (hasBackward) {
            backward.run(cpu);
        }
    }

    @Override
    public void libtorch() {
        try (PointerScope scope = new PointerScope()) {
            var part = torchLogits.narrow(0, 0, rows / parts);
            var input = hasBackward ? Torch.leaf(part) : part;
            var picked = logps(input, torchLabels.narrow(0, 0, rows / parts));
            if (hasBackward) {
                picked.sum().backward();
            }
        }
    }

    private static org.bytedeco.pytorch.Tensor logps(
            org.bytedeco.pytorch.Tensor logits, org.bytedeco.pytorch.Tensor labels) {
        return torch.log_softmax(logits, -1).gather(-1, labels);
    }

    @Override
    public int libtorchParts() {
        return parts;
    }

    /** Compares the first rows; the tail with one minus the labels' probabilities in float64. */
    @Override
    public void verify() {
        try (PointerScope scope = new PointerScope()) {
            long checked = Math.min(rows, CHECKED_ROWS);
            var leaf = Torch.leaf(torchLogits.narrow(0, 0, checked).to(ScalarType.Double));
            var picked = logps(leaf, torchLabels.narrow(0, 0, checked));
            var one = new org.bytedeco.pytorch.Scalar(1.0);
            var rest = picked.exp().sum(-1).neg().add(one).log();
            picked.sum().backward();
            ours();
            Guard.requireClose(
                    "token_logprobs logp",
                    Torch.view(logp).narrow(0, 0, checked),
                    picked,
                    Guard.FLOAT32,
                    Guard.FLOAT32);
            if (hasTail) {
                Guard.requireClose(
                        "token_logprobs tail",
                        Torch.view(tail).narrow(0, 0, checked),
                        rest,
                        1e-4,
                        1e-4);
            }
            if (hasBackward) {
                double rounding = logits.dtype() == DType.BF16 ? Guard.BF16_ROUNDING : 0;
                Guard.requireClose(
                        "token_logprobs grad_logits",
                        torchLogits.narrow(0, 0, checked),
                        leaf.grad(),
                        Guard.FLOAT32 + rounding,
                        1e-6);
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
        torchLabels.close();
        arena.close();
    }
}
