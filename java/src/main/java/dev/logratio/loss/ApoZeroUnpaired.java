package dev.logratio.loss;

/**
 * APO-zero on single examples (arXiv 2408.06266): {@code 1 - S(beta d)} of a chosen and {@code
 * S(beta d)} of a rejected example.
 *
 * @param beta scales the log-ratio; finite and &gt; 0, default .1
 */
public record ApoZeroUnpaired(@Range(Range.POSITIVE) double beta) implements Loss.Unpaired {
    /** Every option at its default. */
    public ApoZeroUnpaired() {
        this(.1);
    }

    /** Checks the ranges. */
    public ApoZeroUnpaired {
        Ranges.positive("beta", beta);
    }

    @Override
    public String id() {
        return "apo_zero_unpaired";
    }
}
