package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * BCO (arXiv 2404.04656): {@code -LS(beta d - delta)} of a chosen and {@code -undesirableWeight
 * LS(-(beta d - delta))} of a rejected example.
 *
 * @param beta scales the log-ratio; finite and &gt; 0, default .1
 * @param undesirableWeight weight of rejected examples; finite and &gt;= 0, default 1
 * @param delta reward shift, kept by the trainer as a running mean of rewards; finite, default 0
 * @since 0.1.0
 */
public record Bco(
        @Range(above = 0) double beta,
        @Range(from = 0) double undesirableWeight,
        @Range double delta)
        implements Loss.Unpaired {
    /** Every option at its default. */
    public Bco() {
        this(.1, 1, 0);
    }

    /** Checks the ranges. */
    public Bco {
        Options.check(Bco.class, beta, undesirableWeight, delta);
    }

    @Override
    public String id() {
        return "bco";
    }
}
