package dev.logratio.loss;

import java.util.Objects;

/**
 * SLiC's hinge (arXiv 2305.10425): {@code max(0, 1 - beta D)}, with derivative 0 at the kink.
 *
 * @param beta scales the margin; finite and &gt; 0, default .1
 * @param fDivergence the score of a log-ratio; default reverse KL
 */
public record Hinge(@Range(Range.POSITIVE) double beta, FDivergence fDivergence)
        implements Loss.OfMargin {
    /** Every option at its default. */
    public Hinge() {
        this(.1, new FDivergence.ReverseKl());
    }

    /** Checks the ranges. */
    public Hinge {
        Ranges.positive("beta", beta);
        Objects.requireNonNull(fDivergence, "f_divergence");
    }

    @Override
    public String id() {
        return "hinge";
    }
}
