package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Logratio;
import dev.logratio.ScoringRule;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.Tensor;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;
import java.util.Optional;

/**
 * scoring_rule on F32 logits [N,V] with values, loss and the gradient, over the logits. libtorch's
 * side is eager log_softmax and the definition, and autograd; its gradient is a tensor of its own.
 */
final class ScoringRuleCase implements Case {
    private static final int CHECKED_ROWS = 16;

    private final Arena arena = Arena.ofShared();
    private final Backend cpu = Backend.cpu();
    private final ScoringRuleOptions options;
    private final int rows;
    private final int parts;
    private final Tensor logits;
    private final Inputs.LogitRows source;
    private final Tensor values;
    private final ScoringRule call;
    private final org.bytedeco.pytorch.Tensor torchLogits;
    private final org.bytedeco.pytorch.Tensor torchLabels;

    ScoringRuleCase(ScoringRuleOptions options, int rows, int columns, int libtorchParts) {
        this.options = options;
        this.rows = rows;
        parts = libtorchParts;
        logits = Tensor.zeros(arena, DType.F32, rows, columns);
        source = new Inputs.LogitRows(arena, DType.F32, columns);
        source.fill(logits);
        Tensor labels = Inputs.labels(arena, columns, rows);
        values = Tensor.zeros(arena, DType.F32, rows);
        call =
                ScoringRule.of(logits, labels)
                        .options(options)
                        .values(values)
                        .loss(Tensor.zeros(arena, DType.F32, 1))
                        .inPlace();
        Torch.threads(Logratio.threads());
        torchLogits = Torch.view(logits);
        torchLabels = Torch.view(labels);
    }

    @Override
    public String input() {
        return String.format(
                Locale.ROOT,
                "%d x %d, %.2f GB",
                rows,
                logits.size(1),
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
            var leaf = Torch.leaf(torchLogits.narrow(0, 0, rows / parts));
            TorchFormulas.scoringRule(options, leaf, torchLabels.narrow(0, 0, rows / parts))
                    .mean()
                    .backward();
        }
    }

    @Override
    public int libtorchParts() {
        return parts;
    }

    /** Compares the first rows with libtorch in float64. */
    @Override
    public void verify() {
        try (PointerScope scope = new PointerScope()) {
            int count = Math.min(CHECKED_ROWS, rows);
            var leaf = Torch.leaf(torchLogits.narrow(0, 0, count).to(ScalarType.Double));
            var expected =
                    TorchFormulas.scoringRule(options, leaf, torchLabels.narrow(0, 0, count));
            expected.sum().div(new Scalar(rows)).backward();
            ours();
            Guard.requireClose(
                    "scoring_rule values",
                    Torch.view(values).narrow(0, 0, count),
                    expected,
                    Guard.FLOAT32,
                    1e-7);
            double largest = leaf.grad().abs().max().item_double();
            Guard.requireClose(
                    "scoring_rule grad_logits",
                    torchLogits.narrow(0, 0, count),
                    leaf.grad(),
                    Guard.FLOAT32,
                    3e-6 * largest);
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
