package dev.logratio.internal.reference;

import java.util.Arrays;

/**
 * A batch of pairs in float64, [P] each.
 *
 * @param chosenCounts token counts, at least 1
 * @param perToken whether the log-probs are means over their tokens already
 * @param parameters of the loss
 */
record Pairs(
        double[] policyChosen,
        double[] policyRejected,
        double[] referenceChosen,
        double[] referenceRejected,
        double[] chosenCounts,
        double[] rejectedCounts,
        boolean perToken,
        PairParameters parameters) {
    Pairs {
        chosenCounts = Arrays.stream(chosenCounts).map(count -> Math.max(count, 1)).toArray();
        rejectedCounts = Arrays.stream(rejectedCounts).map(count -> Math.max(count, 1)).toArray();
    }

    int size() {
        return policyChosen.length;
    }

    /** The same pairs for another loss. */
    Pairs with(PairParameters parameters) {
        return new Pairs(
                policyChosen,
                policyRejected,
                referenceChosen,
                referenceRejected,
                chosenCounts,
                rejectedCounts,
                perToken,
                parameters);
    }

    /** A pair's beta, beta_kl of dlrml. */
    double beta(int pair) {
        return parameters.beta()[pair];
    }

    double tau(int pair) {
        return parameters.tau()[pair];
    }

    /** Log-ratios policy/reference of the chosen sequences. */
    double[] chosenRatios() {
        return differences(policyChosen, referenceChosen);
    }

    /** Those of the rejected sequences. */
    double[] rejectedRatios() {
        return differences(policyRejected, referenceRejected);
    }

    /** Each pair's beta times its log-ratio. */
    double[] rewards(double[] ratios) {
        double[] rewards = new double[ratios.length];
        Arrays.setAll(rewards, i -> beta(i) * ratios[i]);
        return rewards;
    }

    static double[] differences(double[] minuends, double[] subtrahends) {
        double[] differences = new double[minuends.length];
        Arrays.setAll(differences, i -> minuends[i] - subtrahends[i]);
        return differences;
    }
}
