package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * APO-zero (arXiv 2408.06266): {@code 1 - S(beta dw) + S(beta dl)}; raises the chosen and lowers
 * the rejected sequence.
 *
 * @param beta scales the log-ratios; finite and &gt; 0, default .1
 * @since 0.1.0
 */
public record ApoZero(@Range(above = 0) double beta) implements Loss.OfLogRatios {
    /** Every option at its default. */
    public ApoZero() {
        this(.1);
    }

    /** Checks the ranges. */
    public ApoZero {
        Options.check(ApoZero.class, beta);
    }

    @Override
    public String id() {
        return "apo_zero";
    }
}
