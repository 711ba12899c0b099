package dev.logratio.trainers.quickstart;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;

import java.util.List;

/**
 * KL(policy || reference) of whole answers, in nats: for answers that the policy wrote, the exact
 * KL of the next-token distributions, summed along each answer and averaged over the answers.
 * Unbiased, and steadier than averaging log-ratios of the drawn tokens.
 */
final class KlEstimate {
    private KlEstimate() {}

    /**
     * @param sequences drawn from the policy, each with its prompt
     * @param prompts the prompts alone
     */
    static double of(
            LanguageModel policy,
            LanguageModel reference,
            List<List<Integer>> sequences,
            List<List<Integer>> prompts) {
        double sum = 0;
        for (int i = 0; i < sequences.size(); i++) {
            sum += answer(policy, reference, sequences.get(i), prompts.get(i).size());
        }
        return sum / sequences.size();
    }

    private static double answer(
            LanguageModel policy,
            LanguageModel reference,
            List<Integer> sequence,
            int promptLength) {
        try (NDManager scope = policy.newScope()) {
            long[] tokens =
                    sequence.stream()
                            .limit(sequence.size() - 1)
                            .mapToLong(Integer::longValue)
                            .toArray();
            NDArray ids = scope.create(tokens, new Shape(1, tokens.length));
            NDArray policyLogps = policy.forward(ids, false).logSoftmax(-1);
            NDArray referenceLogps = reference.forward(ids, false).logSoftmax(-1);
            NDArray terms =
                    policyLogps.exp().mul(policyLogps.sub(referenceLogps)).sum(new int[] {-1});
            return terms.get("0, " + (promptLength - 1) + ":").sum().getFloat();
        }
    }
}
