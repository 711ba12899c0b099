package dev.logratio.loss;

/**
 * APO-zero (arXiv 2408.06266): {@code 1 - S(beta dw) + S(beta dl)}; raises the chosen and lowers
 * the rejected sequence.
 *
 * @param beta scales the log-ratios; finite and &gt; 0, default .1
 */
public record ApoZero(@Range(Range.POSITIVE) double beta) implements Loss.OfLogRatios {
    /** Every option at its default. */
    public ApoZero() {
        this(.1);
    }

    /** Checks the ranges. */
    public ApoZero {
        Ranges.positive("beta", beta);
    }

    @Override
    public String id() {
        return "apo_zero";
    }
}
