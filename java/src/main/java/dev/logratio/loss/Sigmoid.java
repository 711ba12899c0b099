package dev.logratio.loss;

import java.util.Objects;

/**
 * DPO (arXiv 2305.18290): {@code -(1-e) LS(beta * D) - e LS(-beta * D)} with e the label smoothing.
 * Rewards are {@code beta} times the log-ratio.
 *
 * @param beta scales the margin; finite and &gt; 0, default .1
 * @param labelSmoothing assumed share of swapped pairs, in [0,.5); default 0
 * @param fDivergence the score of a log-ratio; default reverse KL
 */
public record Sigmoid(
        @Range(Range.POSITIVE) double beta,
        @Range(Range.SMOOTHING) double labelSmoothing,
        FDivergence fDivergence)
        implements Loss.OfMargin {

    /** Every option at its default. */
    public Sigmoid() {
        this(.1, 0, new FDivergence.ReverseKl());
    }

    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if a number is out of its range
     */
    public Sigmoid {
        Ranges.positive("beta", beta);
        Ranges.smoothing("label_smoothing", labelSmoothing);
        Objects.requireNonNull(fDivergence, "f_divergence");
    }

    /**
     * This loss with another beta.
     *
     * @param beta finite and &gt; 0
     * @return the new loss
     */
    public Sigmoid withBeta(double beta) {
        return new Sigmoid(beta, labelSmoothing, fDivergence);
    }

    /**
     * This loss with another label smoothing.
     *
     * @param labelSmoothing in [0,.5)
     * @return the new loss
     */
    public Sigmoid withLabelSmoothing(double labelSmoothing) {
        return new Sigmoid(beta, labelSmoothing, fDivergence);
    }

    /**
     * This loss with another score.
     *
     * @param fDivergence the score of a log-ratio
     * @return the new loss
     */
    public Sigmoid withFDivergence(FDivergence fDivergence) {
        return new Sigmoid(beta, labelSmoothing, fDivergence);
    }

    @Override
    public String id() {
        return "sigmoid";
    }
}
