package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * APO-down (arXiv 2408.06266): {@code S(beta dw) + 1 - S(beta D)}; lowers both sequences, the
 * rejected one more.
 *
 * @param beta scales the log-ratios; finite and &gt; 0, default .1
 * @since 0.1.0
 */
public record ApoDown(@Range(above = 0) double beta) implements Loss.OfLogRatios {
    /** Every option at its default. */
    public ApoDown() {
        this(.1);
    }

    /** Checks the ranges. */
    public ApoDown {
        Options.check(ApoDown.class, beta);
    }

    @Override
    public String id() {
        return "apo_down";
    }
}
