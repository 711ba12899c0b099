package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.loadLong;
import static dev.logratio.internal.reference.Numbers.rowStarts;
import static dev.logratio.internal.reference.Numbers.store;

import dev.logratio.DType;
import dev.logratio.LinearOptions;
import dev.logratio.LinearPlan;
import dev.logratio.StepMetrics;
import dev.logratio.Tensor;
import dev.logratio.TokenOptions;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.TokenLogprobsBackwardOperand;
import dev.logratio.internal.check.TokenLogprobsOperand;
import dev.logratio.internal.tensor.StridedTensor;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Optional;

/**
 * The operations on hidden states and a head's weight: all logits are made and held, their twins on
 * logits run on these, and products lead from the gradient of the logits to those of the head.
 */
final class Linear {
    private final Call call;
    private final Arena arena;
    private final TokenOptions options;
    private final Head head;
    private final StridedTensor labels;

    private Linear(Call call, Arena arena) {
        this.call = call;
        this.arena = arena;
        options = call.option(TokenOptions.class);
        head = head("hidden", "weight", "bias");
        labels = tensor("labels");
    }

    /** Runs a call; the metrics of a step. */
    static StepMetrics run(Call call) {
        try (Arena arena = Arena.ofConfined()) {
            return new Linear(call, arena).run();
        }
    }

    private StepMetrics run() {
        StridedTensor logits = head.logits(arena);
        StridedTensor gradLogits = wantsGradient() ? zeros(head.logitShape()) : null;
        StepMetrics metrics =
                switch (call.signature()) {
                    case LINEAR_TOKEN_LOGPROBS -> {
                        tokens(logits, gradLogits);
                        yield null;
                    }
                    case LINEAR_PREFERENCE_STEP -> {
                        Call twin = twin(Signature.PREFERENCE_STEP, logits, gradLogits);
                        if (tensor("reference_hidden") != null) {
                            twin.set(twin.operand("reference_token_logps"), referenceLogps());
                        }
                        yield new Step(twin).run();
                    }
                    case LINEAR_UNPAIRED_STEP ->
                            new ExampleStep(twin(Signature.UNPAIRED_STEP, logits, gradLogits))
                                    .run();
                    default -> throw new AssertionError(call.signature());
                };
        if (gradLogits != null) {
            writeGradients(gradLogits);
        }
        call.plan(plan());
        return metrics;
    }

    /** Log-probs and figures of rows and, where a gradient is wanted, that of the logits. */
    private void tokens(StridedTensor logits, StridedTensor gradLogits) {
        Call forward = twin(Signature.TOKEN_LOGPROBS, logits, null);
        StridedTensor lse = zeros(labels.shape());
        StridedTensor entropy = zeros(labels.shape());
        forward.set(TokenLogprobsOperand.LSE, lse);
        forward.set(TokenLogprobsOperand.ENTROPY, entropy);
        TokenRow.forward(forward);
        for (long n = 0; n < labels.elementCount(); n++) {
            store(tensor("lse"), n, lse.loadDouble(n));
            store(tensor("entropy"), n, entropy.loadDouble(n));
        }
        if (gradLogits != null) {
            Call backward = twin(Signature.TOKEN_LOGPROBS_BACKWARD, logits, gradLogits);
            backward.set(TokenLogprobsBackwardOperand.LSE, lse);
            backward.set(TokenLogprobsBackwardOperand.ENTROPY, entropy);
            TokenRow.backward(backward);
        }
    }

    /** The reference model's token log-probs, where labels tell which. */
    private StridedTensor referenceLogps() {
        Head reference = head("reference_hidden", "reference_weight", "reference_bias");
        StridedTensor logits = reference.logits(arena);
        StridedTensor starts = rowStarts(logits);
        StridedTensor logps = zeros(labels.shape());
        for (long n = 0; n < labels.elementCount(); n++) {
            long label = loadLong(labels, n);
            if (label >= 0 && label < reference.columns()) {
                TokenRow row = new TokenRow(logits, starts.offsetOf(n), options);
                store(logps, n, row.logProb((int) label));
            }
        }
        return logps;
    }

    private void writeGradients(StridedTensor gradLogits) {
        boolean accumulate = call.option(LinearOptions.class).accumulate();
        if (tensor("grad_hidden") != null) {
            head.writeHidden(gradLogits, tensor("grad_hidden"));
        }
        if (tensor("grad_weight") != null) {
            head.writeWeight(gradLogits, tensor("grad_weight"), accumulate);
        }
        if (tensor("grad_bias") != null) {
            head.writeBias(gradLogits, tensor("grad_bias"), accumulate);
        }
    }

    /** All rows at once, nothing twice. */
    private LinearPlan plan() {
        long rows = head.rows();
        int products = tensor("grad_hidden") == null ? 1 : 2;
        products += tensor("grad_weight") == null ? 0 : 1;
        return new LinearPlan(
                wantsGradient() ? LinearPlan.Method.SWEEP : LinearPlan.Method.FORWARD,
                rows,
                wantsGradient() ? rows : 0,
                0,
                Head.BLOCK_ROWS,
                Head.BLOCK_COLUMNS,
                2 * products,
                wantsGradient() ? rows * head.weight().size(0) * Double.BYTES : 0,
                0,
                0,
                "reference, " + Products.instance().name());
    }

    // ---- The call ----

    private StridedTensor tensor(String id) {
        return find(call.signature(), id).map(call::get).orElse(null);
    }

    private static Optional<Operand> find(Signature signature, String id) {
        return signature.operands().stream().filter(o -> o.id().equals(id)).findFirst();
    }

    private boolean wantsGradient() {
        return tensor("grad_hidden") != null
                || tensor("grad_weight") != null
                || tensor("grad_bias") != null;
    }

    private Head head(String hidden, String weight, String bias) {
        StridedTensor rows = tensor(weight);
        long columns = options.vocab() == 0 ? rows.size(0) : options.vocab();
        return new Head(tensor(hidden), rows, tensor(bias), Math.toIntExact(columns));
    }

    private StridedTensor zeros(long[] shape) {
        return (StridedTensor) Tensor.zeros(arena, DType.F64, shape);
    }

    /** The same call on logits: what has the same name in both is the same. */
    private Call twin(Signature signature, StridedTensor logits, StridedTensor gradLogits) {
        Object[] shared =
                Arrays.stream(call.options())
                        .filter(record -> !(record instanceof LinearOptions))
                        .toArray();
        Call twin = new Call(signature, shared);
        for (Operand operand : signature.operands()) {
            twin.set(operand, tensor(operand.id()));
        }
        twin.set(twin.operand("logits"), logits);
        if (gradLogits != null) {
            twin.set(twin.operand("grad_logits"), gradLogits);
        }
        return twin;
    }
}
