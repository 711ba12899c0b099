package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

import java.util.List;

/**
 * DPO (arXiv 2305.18290): {@code -(1-e) LS(beta * D) - e LS(-beta * D)} with e the label smoothing.
 * Rewards are {@code beta} times the log-ratio.
 *
 * @param beta scales the margin; finite and &gt; 0, default .1
 * @param labelSmoothing assumed share of swapped pairs, in [0,.5); default 0
 * @param fDivergence the score of a log-ratio; default reverse KL
 * @since 0.1.0
 */
public record Sigmoid(
        @Range(above = 0) double beta,
        @Range(from = 0, below = .5) double labelSmoothing,
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
        Options.check(Sigmoid.class, beta, labelSmoothing, fDivergence);
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

    @Override
    public List<String> aliases() {
        return List.of("dpo");
    }
}
