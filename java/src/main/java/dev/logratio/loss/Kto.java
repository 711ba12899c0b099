package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * KTO (arXiv 2402.01306): {@code desirableWeight (1 - S(beta (d - kl)))} of a chosen and {@code
 * undesirableWeight (1 - S(beta (kl - d)))} of a rejected example, where kl is {@code max(0, mean)}
 * of the log-ratios of mismatched examples, a constant.
 *
 * @param beta scales the log-ratio; finite and &gt; 0, default .1
 * @param desirableWeight weight of chosen examples; finite and &gt;= 0, default 1
 * @param undesirableWeight weight of rejected examples; finite and &gt;= 0, default 1
 * @since 0.1.0
 */
public record Kto(
        @Range(above = 0) double beta,
        @Range(from = 0) double desirableWeight,
        @Range(from = 0) double undesirableWeight)
        implements Loss.Unpaired {
    /** Every option at its default. */
    public Kto() {
        this(.1, 1, 1);
    }

    /** Checks the ranges. */
    public Kto {
        Options.check(Kto.class, beta, desirableWeight, undesirableWeight);
    }

    @Override
    public String id() {
        return "kto";
    }

    @Override
    public boolean usesKl() {
        return true;
    }
}
