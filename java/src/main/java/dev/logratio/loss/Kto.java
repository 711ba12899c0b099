package dev.logratio.loss;

/**
 * KTO (arXiv 2402.01306): {@code desirableWeight (1 - S(beta (d - kl)))} of a chosen and {@code
 * undesirableWeight (1 - S(beta (kl - d)))} of a rejected example, where kl is {@code max(0, mean)}
 * of the log-ratios of mismatched examples, a constant.
 *
 * @param beta scales the log-ratio; finite and &gt; 0, default .1
 * @param desirableWeight weight of chosen examples; finite and &gt;= 0, default 1
 * @param undesirableWeight weight of rejected examples; finite and &gt;= 0, default 1
 */
public record Kto(
        @Range(Range.POSITIVE) double beta,
        @Range(Range.NOT_NEGATIVE) double desirableWeight,
        @Range(Range.NOT_NEGATIVE) double undesirableWeight)
        implements Loss.Unpaired {
    /** Every option at its default. */
    public Kto() {
        this(.1, 1, 1);
    }

    /** Checks the ranges. */
    public Kto {
        Ranges.positive("beta", beta);
        Ranges.notNegative("desirable_weight", desirableWeight);
        Ranges.notNegative("undesirable_weight", undesirableWeight);
    }

    @Override
    public String id() {
        return "kto";
    }
}
