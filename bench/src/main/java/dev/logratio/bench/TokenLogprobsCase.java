package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Logratio;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.TokenLogprobsOperand;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * token_logprobs on logits [N,V]. libtorch's side is eager log_softmax and gather in the logits'
 * dtype, and autograd for the backward; its gradient is a tensor of its own, because autograd has
 * no backward in place.
 */
final class TokenLogprobsCase implements Case {
    /** What one run computes. */
    enum Pass {
        /** logp and lse. */
        FORWARD,
        /** Every output. */
        FORWARD_ALL,
        /** logp and lse, then the gradient of the sum of logp, over the logits. */
        FORWARD_BACKWARD
    }

    /** Rows compared at each end of the input. */
    private static final int CHECKED_ROWS = 64;

    private final Arena arena = Arena.ofShared();
    private final Pass pass;
    private final int rows;
    private final Tensor logits;
    private final Inputs.LogitRows source;
    private final Tensor logp;
    private final Tensor lse;
    private final Map<Operand, Tensor> outputs = new HashMap<>();
    private final Backend cpu = Backend.cpu();
    private final Runnable forward;
    private final TokenLogprobsBackward backward;
    private final int parts;
    private final org.bytedeco.pytorch.Tensor torchLogits;
    private final org.bytedeco.pytorch.Tensor torchLabels;
    private final org.bytedeco.pytorch.Tensor partLogits;
    private final org.bytedeco.pytorch.Tensor partLabels;

    TokenLogprobsCase(Pass pass, DType dtype, int rows, int columns, int libtorchParts) {
        this.pass = pass;
        this.rows = rows;
        logits = Tensor.zeros(arena, dtype, rows, columns);
        source = new Inputs.LogitRows(arena, dtype, columns);
        source.fill(logits);
        Tensor labels = Inputs.labels(arena, columns, rows);
        for (Operand output : TokenOutputs.ALL) {
            DType type = TokenOutputs.isFloat(output) ? DType.F32 : DType.I64;
            outputs.put(output, Tensor.zeros(arena, type, rows));
        }
        // The backward needs it to the last bit.
        outputs.put(TokenLogprobsOperand.LSE, Tensor.zeros(arena, DType.F64, rows));
        logp = outputs.get(TokenLogprobsOperand.LOGP);
        lse = outputs.get(TokenLogprobsOperand.LSE);
        if (pass == Pass.FORWARD_ALL) {
            Call call = TokenOutputs.call(logits, labels, outputs::get);
            forward = () -> call.run(cpu);
        } else {
            TokenLogprobs call = TokenLogprobs.of(logits, labels).logp(logp).lse(lse);
            forward = () -> call.run(cpu);
        }
        Tensor ones = Tensor.zeros(arena, DType.F32, rows);
        ones.fill(1);
        backward = TokenLogprobsBackward.of(logits, labels, lse).gradLogp(ones).inPlace();
        Torch.threads(Logratio.threads());
        torchLogits = Torch.view(logits);
        torchLabels = Torch.view(labels);
        parts = libtorchParts;
        partLogits = torchLogits.narrow(0, 0, rows / parts);
        partLabels = torchLabels.narrow(0, 0, rows / parts);
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
        if (pass == Pass.FORWARD_BACKWARD) {
            source.fill(logits);
        }
    }

    @Override
    public void ours() {
        forward.run();
        if (pass == Pass.FORWARD_BACKWARD) {
            backward.run(cpu);
        }
    }

    @Override
    public void libtorch() {
        try (PointerScope scope = new PointerScope()) {
            switch (pass) {
                case FORWARD -> TorchFormulas.tokenLogps(partLogits, partLabels);
                case FORWARD_ALL -> {
                    var logProbs = torch.log_softmax(partLogits, -1);
                    TorchFormulas.pick(logProbs, partLabels);
                    TorchFormulas.entropy(logProbs);
                    partLogits.logsumexp(-1);
                    TorchFormulas.argmax(partLogits);
                    partLogits.mean(-1);
                }
                case FORWARD_BACKWARD ->
                        TorchFormulas.tokenLogps(Torch.leaf(partLogits), partLabels)
                                .sum()
                                .backward();
            }
        }
    }

    @Override
    public int libtorchParts() {
        return parts;
    }

    @Override
    public void verify() {
        try (PointerScope scope = new PointerScope()) {
            List<Expected> ends = List.of(expected(0), expected(Math.max(0, rows - CHECKED_ROWS)));
            ours();
            ends.forEach(this::compare);
        }
    }

    /**
     * libtorch's results of some rows in float32, which BF16 logits are raised to; those of the
     * forward in the order of {@link TokenOutputs#ALL}.
     */
    private record Expected(
            long start,
            List<org.bytedeco.pytorch.Tensor> outputs,
            org.bytedeco.pytorch.Tensor gradLogits) {}

    private Expected expected(long start) {
        long count = Math.min(CHECKED_ROWS, rows);
        var leaf = Torch.leaf(torchLogits.narrow(0, start, count).to(ScalarType.Float));
        var logProbs = torch.log_softmax(leaf, -1);
        var picked = TorchFormulas.pick(logProbs, torchLabels.narrow(0, start, count));
        picked.sum().backward();
        return new Expected(
                start,
                List.of(
                        picked,
                        leaf.logsumexp(-1),
                        leaf.add(leaf).logsumexp(-1),
                        TorchFormulas.entropy(logProbs),
                        TorchFormulas.argmax(leaf),
                        leaf.mean(-1)),
                leaf.grad());
    }

    private void compare(Expected expected) {
        for (Operand output : TokenOutputs.ALL) {
            Tensor ours = outputs.get(output);
            if (pass == Pass.FORWARD_ALL || ours == logp || ours == lse) {
                Guard.requireClose(
                        "token_logprobs " + output.id(),
                        Torch.view(ours).narrow(0, expected.start, expected.gradLogits.size(0)),
                        expected.outputs.get(TokenOutputs.ALL.indexOf(output)),
                        Guard.FLOAT32,
                        Guard.FLOAT32);
            }
        }
        if (pass == Pass.FORWARD_BACKWARD) {
            double relative =
                    Guard.FLOAT32 + (logits.dtype() == DType.BF16 ? Guard.BF16_ROUNDING : 0);
            Guard.requireClose(
                    "token_logprobs grad_logits",
                    torchLogits.narrow(0, expected.start, expected.gradLogits.size(0)),
                    expected.gradLogits,
                    relative,
                    1e-9);
        }
    }

    @Override
    public Optional<MemorySegment> memory() {
        return Optional.of(logits.segment());
    }

    @Override
    public void close() {
        partLogits.close();
        partLabels.close();
        torchLogits.close();
        torchLabels.close();
        arena.close();
    }
}
