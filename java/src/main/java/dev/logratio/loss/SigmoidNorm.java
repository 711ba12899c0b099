package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * Length-averaged DPO (arXiv 2411.15124, arXiv 2406.19188): {@code -LS(beta (sw/nw - sl/nl))} with
 * the scores sw and sl of the log-ratios and the token counts nw and nl.
 *
 * @param beta scales the margin; finite and &gt; 0, default .1
 * @param normalise which token counts it divides by; default on
 * @param fDivergence the score of a log-ratio; default reverse KL
 * @since 0.1.0
 */
public record SigmoidNorm(
        @Range(above = 0) double beta, AlwaysNormalise normalise, FDivergence fDivergence)
        implements Loss.OfMargin {
    /** Every option at its default. */
    public SigmoidNorm() {
        this(.1, AlwaysNormalise.ON, new FDivergence.ReverseKl());
    }

    /** Checks the ranges. */
    public SigmoidNorm {
        Options.check(SigmoidNorm.class, beta, normalise, fDivergence);
    }

    @Override
    public String id() {
        return "sigmoid_norm";
    }

    @Override
    public boolean dividesByLength() {
        return true;
    }

    @Override
    public boolean dividesByFullLength() {
        return normalise == AlwaysNormalise.FULL;
    }
}
