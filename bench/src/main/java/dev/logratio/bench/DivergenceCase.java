package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Divergence;
import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.Logratio;
import dev.logratio.Tensor;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;
import java.util.Optional;

/**
 * divergence of two sets of F32 logits [N,V] with values, loss and the gradients of both, over the
 * logits. libtorch's side is eager log_softmax and the definition, and autograd; its gradients are
 * tensors of their own.
 */
final class DivergenceCase implements Case {
    private static final int CHECKED_ROWS = 16;

    private final Arena arena = Arena.ofShared();
    private final Backend cpu = Backend.cpu();
    private final DivergenceKind kind;
    private final int rows;
    private final int parts;
    private final Tensor logits;
    private final Inputs.LogitRows source;
    private final Tensor values;
    private final Divergence call;
    private final org.bytedeco.pytorch.Tensor torchLogits;

    DivergenceCase(DivergenceKind kind, int rows, int columns, int libtorchParts) {
        this.kind = kind;
        this.rows = rows;
        parts = libtorchParts;
        logits = Tensor.zeros(arena, DType.F32, 2, rows, columns);
        source = new Inputs.LogitRows(arena, DType.F32, columns);
        source.fill(logits);
        values = Tensor.zeros(arena, DType.F32, rows);
        Tensor p = logits.select(0, 0);
        Tensor q = logits.select(0, 1);
        call =
                Divergence.of(p, q)
                        .options(DivergenceOptions.of(kind))
                        .values(values)
                        .loss(Tensor.zeros(arena, DType.F32, 1))
                        .gradP(p)
                        .gradQ(q);
        Torch.threads(Logratio.threads());
        torchLogits = Torch.view(logits);
    }

    @Override
    public String input() {
        return String.format(
                Locale.ROOT,
                "2 x %d x %d, %.2f GB",
                rows,
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
            var p = Torch.leaf(torchLogits.select(0, 0).narrow(0, 0, rows / parts));
            var q = Torch.leaf(torchLogits.select(0, 1).narrow(0, 0, rows / parts));
            TorchFormulas.divergence(kind, p, q).mean().backward();
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
            var leaf = Torch.leaf(torchLogits.narrow(1, 0, count).to(ScalarType.Double));
            var expected = TorchFormulas.divergence(kind, leaf.select(0, 0), leaf.select(0, 1));
            expected.sum().div(new Scalar(rows)).backward();
            ours();
            Guard.requireClose(
                    "divergence values",
                    Torch.view(values).narrow(0, 0, count),
                    expected,
                    Guard.FLOAT32,
                    1e-7);
            double largest = leaf.grad().abs().max().item_double();
            // Where two probabilities or their sums are all but equal, the sign that these
            // gradients are made of is a matter of rounding.
            boolean ofSigns = kind == DivergenceKind.TVD || kind == DivergenceKind.WASSERSTEIN1;
            Guard.requireClose(
                    "divergence gradients",
                    torchLogits.narrow(1, 0, count),
                    leaf.grad(),
                    Guard.FLOAT32,
                    (ofSigns ? 1e-3 : 3e-6) * largest);
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
