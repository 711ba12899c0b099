package dev.logratio.internal.reference;

/**
 * The losses of a batch of pairs and the gradients of their sum, each loss times its upstream
 * gradient.
 */
final class PairGradients {
    /** [P], or [2P] where a pair has two. */
    final double[] losses;

    final double[] policyChosen;
    final double[] policyRejected;
    final double[] referenceChosen;
    final double[] referenceRejected;

    // Those by each pair's parameters, [P]; 0 where the loss has no such option.
    final double[] beta;
    final double[] mix;
    final double[] tau;

    PairGradients(int losses, int pairs) {
        this.losses = new double[losses];
        policyChosen = new double[pairs];
        policyRejected = new double[pairs];
        referenceChosen = new double[pairs];
        referenceRejected = new double[pairs];
        beta = new double[pairs];
        mix = new double[pairs];
        tau = new double[pairs];
    }

    /** Adds a pair's gradient with respect to its log-ratios. */
    void addRatios(int pair, double chosen, double rejected) {
        policyChosen[pair] += chosen;
        policyRejected[pair] += rejected;
        referenceChosen[pair] -= chosen;
        referenceRejected[pair] -= rejected;
    }
}
