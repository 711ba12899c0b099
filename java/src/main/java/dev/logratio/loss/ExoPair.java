package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * EXO on pairs (arXiv 2402.00856), a reverse KL to the smoothed preference: {@code S(z)(LS(z) -
 * log(1-e)) + S(-z)(LS(-z) - log e)} with {@code z = beta D} and e the label smoothing.
 *
 * @param beta scales the margin; finite and &gt; 0, default .1
 * @param labelSmoothing assumed share of swapped pairs, in (0,.5); default 1e-3
 * @param fDivergence the score of a log-ratio; default reverse KL
 * @since 0.1.0
 */
public record ExoPair(
        @Range(above = 0) double beta,
        @Range(above = 0, below = .5) double labelSmoothing,
        FDivergence fDivergence)
        implements Loss.OfMargin {
    /** Every option at its default. */
    public ExoPair() {
        this(.1, 1e-3, new FDivergence.ReverseKl());
    }

    /** Checks the ranges. */
    public ExoPair {
        Options.check(ExoPair.class, beta, labelSmoothing, fDivergence);
    }

    @Override
    public String id() {
        return "exo_pair";
    }
}
