package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * Robust DPO (arXiv 2403.00409): {@code (-(1-e) LS(beta D) + e LS(-beta D)) / (1-2e)} with e the
 * label smoothing; unbiased when a share e of the pairs is swapped.
 *
 * @param beta scales the margin; finite and &gt; 0, default .1
 * @param labelSmoothing assumed share of swapped pairs, in [0,.5); default 0
 * @param fDivergence the score of a log-ratio; default reverse KL
 * @since 0.1.0
 */
public record Robust(
        @Range(above = 0) double beta,
        @Range(from = 0, below = .5) double labelSmoothing,
        FDivergence fDivergence)
        implements Loss.OfMargin {
    /** Every option at its default. */
    public Robust() {
        this(.1, 0, new FDivergence.ReverseKl());
    }

    /** Checks the ranges. */
    public Robust {
        Options.check(Robust.class, beta, labelSmoothing, fDivergence);
    }

    @Override
    public String id() {
        return "robust";
    }
}
