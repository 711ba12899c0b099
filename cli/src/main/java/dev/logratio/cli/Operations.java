package dev.logratio.cli;

import static dev.logratio.internal.check.Signature.DIVERGENCE;
import static dev.logratio.internal.check.Signature.LINEAR_PREFERENCE_STEP;
import static dev.logratio.internal.check.Signature.LINEAR_TOKEN_LOGPROBS;
import static dev.logratio.internal.check.Signature.LINEAR_UNPAIRED_STEP;
import static dev.logratio.internal.check.Signature.PAIR_LOSS;
import static dev.logratio.internal.check.Signature.PREFERENCE_STEP;
import static dev.logratio.internal.check.Signature.SCORING_RULE;
import static dev.logratio.internal.check.Signature.SEQUENCE_LOGPS;
import static dev.logratio.internal.check.Signature.TOKEN_LOGPROBS;
import static dev.logratio.internal.check.Signature.TOKEN_LOGPROBS_BACKWARD;
import static dev.logratio.internal.check.Signature.UNPAIRED_LOSS;
import static dev.logratio.internal.check.Signature.UNPAIRED_STEP;

import dev.logratio.UnpairedStepMetrics;

import java.util.List;

/** Every operation that {@code eval} knows. */
final class Operations {
    /** A file has no gradients that others could be added to. */
    private static final String ACCUMULATE = "accumulate";

    static final List<Operation> ALL =
            List.of(
                    new Operation(TOKEN_LOGPROBS, TOKEN_LOGPROBS_BACKWARD)
                            .ofSeveralLabels("tail", "grad_tail")
                            .bothOrNone("kept_offsets", "kept_ids")
                            .giving("outside", "kept_ids"),
                    new Operation(SEQUENCE_LOGPS).requiring("token_logps"),
                    new Operation(PAIR_LOSS),
                    new Operation(UNPAIRED_LOSS)
                            .bothOrNone("kl_policy_logps", "kl_reference_logps"),
                    new Operation(PREFERENCE_STEP),
                    new Operation(UNPAIRED_STEP)
                            .measuring(UnpairedStepMetrics.class)
                            .oneOf("reference_logps", "reference_token_logps")
                            .bothOrNone("kl_policy_logps", "kl_reference_logps"),
                    new Operation(LINEAR_TOKEN_LOGPROBS).withoutOption(ACCUMULATE),
                    new Operation(LINEAR_PREFERENCE_STEP)
                            .withoutOption(ACCUMULATE)
                            .bothOrNone("reference_hidden", "reference_weight")
                            .needing("reference_bias", "reference_weight"),
                    new Operation(LINEAR_UNPAIRED_STEP)
                            .withoutOption(ACCUMULATE)
                            .measuring(UnpairedStepMetrics.class)
                            .oneOf("reference_logps", "reference_token_logps")
                            .bothOrNone("kl_policy_logps", "kl_reference_logps"),
                    new Operation(DIVERGENCE)
                            .choosing("divergence")
                            .oneOf("q_logits", "q_weights", "q_topk_ids")
                            .bothOrNone("q_topk_ids", "q_topk_logps")
                            .bothOrNone("p_rows", "q_rows")
                            .without("grad_loss"),
                    new Operation(SCORING_RULE).choosing("rule").ofRows());

    private Operations() {}

    /**
     * The operation that a file asks for.
     *
     * @param name null if it names none
     */
    static Operation named(String name) throws CaseException {
        for (Operation operation : ALL) {
            if (operation.name().equals(name)) {
                return operation;
            }
        }
        throw new CaseException(
                (name == null ? "op is missing in __metadata__" : "op is " + Text.quoted(name))
                        + ", expected "
                        + Text.alternatives(ALL.stream().map(Operation::name).toList()));
    }
}
