package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * PADLL, discovered with DiscoPOP (arXiv 2406.08414): {@code .9 softplus(-beta D)}, halved where
 * {@code D < 0}.
 *
 * @param beta scales the margin; finite and &gt; 0, default .05
 * @since 0.1.0
 */
public record Padll(@Range(above = 0) double beta) implements Loss.OfLogRatios {
    /** Every option at its default. */
    public Padll() {
        this(.05);
    }

    /** Checks the ranges. */
    public Padll {
        Options.check(Padll.class, beta);
    }

    @Override
    public String id() {
        return "padll";
    }
}
