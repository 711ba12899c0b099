package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * BCO on pairs (arXiv 2404.04656): {@code -LS(beta dw - delta) - LS(-(beta dl - delta))}.
 *
 * @param beta scales the log-ratios; finite and &gt; 0, default .1
 * @param delta reward shift, kept by the trainer as a running mean of rewards; finite, default 0
 * @since 0.1.0
 */
public record BcoPair(@Range(above = 0) double beta, @Range double delta)
        implements Loss.OfLogRatios {
    /** Every option at its default. */
    public BcoPair() {
        this(.1, 0);
    }

    /** Checks the ranges. */
    public BcoPair {
        Options.check(BcoPair.class, beta, delta);
    }

    @Override
    public String id() {
        return "bco_pair";
    }
}
