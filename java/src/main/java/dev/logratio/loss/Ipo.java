package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * IPO (arXiv 2310.12036): {@code (sw/nw - sl/nl - 1/(2 beta))^2} with the scores sw and sl of the
 * log-ratios and the token counts nw and nl; without {@code normalise} the sums, {@code (D - 1/(2
 * beta))^2}.
 *
 * @param beta sets the target margin 1/(2 beta); finite and &gt; 0, default .1
 * @param normalise whether it divides by length, and by which; default on
 * @param fDivergence the score of a log-ratio; default reverse KL
 * @since 0.1.0
 */
public record Ipo(@Range(above = 0) double beta, Normalise normalise, FDivergence fDivergence)
        implements Loss.OfMargin {
    /** Every option at its default. */
    public Ipo() {
        this(.1, Normalise.ON, new FDivergence.ReverseKl());
    }

    /** Checks the ranges. */
    public Ipo {
        Options.check(Ipo.class, beta, normalise, fDivergence);
    }

    @Override
    public String id() {
        return "ipo";
    }

    @Override
    public boolean dividesByLength() {
        return normalise != Normalise.OFF;
    }

    @Override
    public boolean dividesByFullLength() {
        return normalise == Normalise.FULL;
    }
}
