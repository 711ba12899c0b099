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
 * token_logprobs over the columns that each row keeps, forward and backward in place, on logits
 * [N,V]: as many columns as a sampler with top-k has, spread over the row, one of them the label.
 * The forward reads these alone, and the backward rewrites the row, most of it with zeros.
 * libtorch's side is gather, log_softmax and autograd, whose gradient is a tensor of its own.
 */
final class KeptColumnsCase implements Case {
    private static final long SEED = 20250308;
    private static final int KEPT = 256;
    private static final int CHECKED_ROWS = 16;

    private final Arena arena = Arena.ofShared();
    private final Backend cpu = Backend.cpu();
    private final int rows;
    private final Tensor logits;
    private final Tensor logp;
    private final Inputs.LogitRows source;
    private final TokenLogprobs forward;
    private final TokenLogprobsBackward backward;
    private final int parts;
    private final org.bytedeco.pytorch.Tensor torchLogits;
    private final org.bytedeco.pytorch.Tensor torchIds;
    private final org.bytedeco.pytorch.Tensor torchPlaces;

    KeptColumnsCase(DType dtype, int rows, int columns, int libtorchParts) {
        this.rows = rows;
        parts = libtorchParts;
        logits = Tensor.zeros(arena, dtype, rows, columns);
        source = new Inputs.LogitRows(arena, dtype, columns);
        source.fill(logits);
        SplittableRandom random = new SplittableRandom(SEED);
        int kept = Math.min(KEPT, columns);
        long[] offsets = new long[rows + 1];
        long[] ids = new long[rows * kept];
        long[] labels = new long[rows];
        long[] places = new long[rows];
        for (int row = 0; row < rows; row++) {
            int first = row * kept;
            int gap = columns / kept;
            for (int k = 0; k < kept; k++) {
                ids[first + k] = (long) k * gap + random.nextInt(gap);
            }
            places[row] = random.nextInt(kept);
            labels[row] = ids[first + (int) places[row]];
            offsets[row + 1] = first + kept;
        }
        Tensor keptOffsets = Tensor.of(arena, offsets, rows + 1);
        Tensor keptIds = Tensor.of(arena, ids, ids.length);
        Tensor labelTensor = Tensor.of(arena, labels, rows);
        logp = Tensor.zeros(arena, DType.F32, rows);
        Tensor lse = Tensor.zeros(arena, DType.F64, rows);
        Tensor ones = Tensor.zeros(arena, DType.F32, rows);
        ones.fill(1);
        forward =
                TokenLogprobs.of(logits, labelTensor)
                        .keptOffsets(keptOffsets)
                        .keptIds(keptIds)
                        .logp(logp)
                        .lse(lse);
        backward =
                TokenLogprobsBackward.of(logits, labelTensor, lse)
                        .keptOffsets(keptOffsets)
                        .keptIds(keptIds)
                        .gradLogp(ones)
                        .inPlace();
        Torch.threads(Logratio.threads());
        torchLogits = Torch.view(logits);
        torchIds = Torch.view(keptIds.reshape(rows, kept));
        torchPlaces = Torch.view(Tensor.of(arena, places, rows, 1));
    }

    @Override
    public String input() {
        return String.format(
                Locale.ROOT,
                "%d x %d, %d kept, %.2f GB",
                rows,
                logits.size(1),
                torchIds.size(1),
                logits.segment().byteSize() / 1e9);
    }

    @Override
    public void prepare() {
        source.fill(logits);
    }

    @Override
    public void ours() {
        forward.run(cpu);
        backward.run(cpu);
    }

    @Override
    public void libtorch() {
        try (PointerScope scope = new PointerScope()) {
            long count = rows / parts;
            logps(Torch.leaf(torchLogits.narrow(0, 0, count)), count).sum().backward();
        }
    }

    private org.bytedeco.pytorch.Tensor logps(org.bytedeco.pytorch.Tensor logits, long count) {
        var kept = logits.gather(-1, torchIds.narrow(0, 0, count));
        return torch.log_softmax(kept, -1).gather(-1, torchPlaces.narrow(0, 0, count));
    }

    @Override
    public int libtorchParts() {
        return parts;
    }

    @Override
    public void verify() {
        try (PointerScope scope = new PointerScope()) {
            long checked = Math.min(rows, CHECKED_ROWS);
            var leaf = Torch.leaf(torchLogits.narrow(0, 0, checked).to(ScalarType.Float));
            var expected = logps(leaf, checked).squeeze();
            expected.sum().backward();
            ours();
            Guard.requireClose(
                    "token_logprobs logp",
                    Torch.view(logp).narrow(0, 0, checked),
                    expected,
                    Guard.FLOAT32,
                    Guard.FLOAT32);
            double rounding = logits.dtype() == DType.BF16 ? Guard.BF16_ROUNDING : 0;
            Guard.requireClose(
                    "token_logprobs grad_logits",
                    torchLogits.narrow(0, 0, checked),
                    leaf.grad(),
                    Guard.FLOAT32 + rounding,
                    1e-7);
        }
    }

    @Override
    public Optional<MemorySegment> memory() {
        return Optional.of(logits.segment());
    }

    @Override
    public void close() {
        torchLogits.close();
        torchIds.close();
        torchPlaces.close();
        arena.close();
    }
}
