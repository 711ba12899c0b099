package dev.logratio.internal.reference;

import java.util.Arrays;

/**
 * A batch of pairs in float64, [P] each.
 *
 * @param chosenCounts token counts, at least 1
 * @param perToken whether the log-probs are means over their tokens already
 */
record Pairs(
        double[] policyChosen,
        double[] policyRejected,
        double[] referenceChosen,
        double[] referenceRejected,
        double[] chosenCounts,
        double[] rejectedCounts,
        boolean perToken) {
    Pairs {
        chosenCounts = Arrays.stream(chosenCounts).map(count -> Math.max(count, 1)).toArray();
        rejectedCounts = Arrays.stream(rejectedCounts).map(count -> Math.max(count, 1)).toArray();
    }

    int size() {
        return policyChosen.length;
    }

    /** Log-ratios policy/reference of the chosen sequences. */
    double[] chosenRatios() {
        return differences(policyChosen, referenceChosen);
    }

    /** Those of the rejected sequences. */
    double[] rejectedRatios() {
        return differences(policyRejected, referenceRejected);
    }

    static double[] differences(double[] minuends, double[] subtrahends) {
        double[] differences = new double[minuends.length];
        Arrays.setAll(differences, i -> minuends[i] - subtrahends[i]);
        return differences;
    }
}
