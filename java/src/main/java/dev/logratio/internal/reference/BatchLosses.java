package dev.logratio.internal.reference;

import static dev.logratio.internal.Functions.product;
import static dev.logratio.internal.Functions.smoothed;

import dev.logratio.internal.Functions.Slope;
import dev.logratio.loss.Aot;
import dev.logratio.loss.AotUnpaired;

import java.util.stream.IntStream;

/** Losses of two sorted lists: loss k is of the difference of their k-th smallest values. */
final class BatchLosses {
    private BatchLosses() {}

    static void evaluate(Aot loss, Pairs pairs, double[] upstream, PairGradients out) {
        double[] policy = Pairs.differences(pairs.policyChosen(), pairs.policyRejected());
        double[] reference = Pairs.differences(pairs.referenceChosen(), pairs.referenceRejected());
        int[] policyOrder = order(policy);
        int[] referenceOrder = order(reference);
        for (int k = 0; k < pairs.size(); k++) {
            int p = policyOrder[k];
            int r = referenceOrder[k];
            Slope result =
                    smoothed(pairs.beta(k) * (policy[p] - reference[r]), loss.labelSmoothing());
            double slope = product(upstream[k], pairs.beta(k) * result.slope());
            double ofBeta = product(policy[p] - reference[r], result.slope());
            out.beta[k] = product(upstream[k], ofBeta);
            out.losses[k] = result.value();
            out.policyChosen[p] = slope;
            out.policyRejected[p] = -slope;
            out.referenceChosen[r] = -slope;
            out.referenceRejected[r] = slope;
        }
    }

    static void evaluate(AotUnpaired loss, Pairs pairs, double[] upstream, PairGradients out) {
        double[] chosen = pairs.chosenRatios();
        double[] rejected = pairs.rejectedRatios();
        int[] chosenOrder = order(chosen);
        int[] rejectedOrder = order(rejected);
        for (int k = 0; k < pairs.size(); k++) {
            int c = chosenOrder[k];
            int r = rejectedOrder[k];
            Slope result =
                    smoothed(pairs.beta(k) * (chosen[c] - rejected[r]), loss.labelSmoothing());
            double slope = product(upstream[k], pairs.beta(k) * result.slope());
            double ofBeta = product(chosen[c] - rejected[r], result.slope());
            out.beta[k] = product(upstream[k], ofBeta);
            out.losses[k] = result.value();
            out.addRatios(c, slope, 0);
            out.addRatios(r, 0, -slope);
        }
    }

    /**
     * Indices from the smallest to the largest value, NaN last, equal values in their order; -0 and
     * 0 are equal.
     */
    private static int[] order(double[] values) {
        return IntStream.range(0, values.length)
                .boxed()
                .sorted((i, j) -> Double.compare(values[i] + 0.0, values[j] + 0.0)) // -0 + 0 is 0
                .mapToInt(Integer::intValue)
                .toArray();
    }
}
