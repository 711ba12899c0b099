package dev.logratio.loss;

/**
 * BCO (arXiv 2404.04656): {@code -LS(beta d - delta)} of a chosen and {@code -undesirableWeight
 * LS(-(beta d - delta))} of a rejected example.
 *
 * @param beta scales the log-ratio; finite and &gt; 0, default .1
 * @param undesirableWeight weight of rejected examples; finite and &gt;= 0, default 1
 * @param delta reward shift, kept by the trainer as a running mean of rewards; finite, default 0
 */
public record Bco(
        @Range(Range.POSITIVE) double beta,
        @Range(Range.NOT_NEGATIVE) double undesirableWeight,
        @Range(Range.FINITE) double delta)
        implements Loss.Unpaired {
    /** Every option at its default. */
    public Bco() {
        this(.1, 1, 0);
    }

    /** Checks the ranges. */
    public Bco {
        Ranges.positive("beta", beta);
        Ranges.notNegative("undesirable_weight", undesirableWeight);
        Ranges.finite("delta", delta);
    }

    @Override
    public String id() {
        return "bco";
    }
}
