package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * APO-zero on single examples (arXiv 2408.06266): {@code 1 - S(beta d)} of a chosen and {@code
 * S(beta d)} of a rejected example.
 *
 * @param beta scales the log-ratio; finite and &gt; 0, default .1
 * @since 0.1.0
 */
public record ApoZeroUnpaired(@Range(above = 0) double beta) implements Loss.Unpaired {
    /** Every option at its default. */
    public ApoZeroUnpaired() {
        this(.1);
    }

    /** Checks the ranges. */
    public ApoZeroUnpaired {
        Options.check(ApoZeroUnpaired.class, beta);
    }

    @Override
    public String id() {
        return "apo_zero_unpaired";
    }
}
