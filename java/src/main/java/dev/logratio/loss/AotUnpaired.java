package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * AOT on unpaired data (arXiv 2406.05882): the batch's sorted log-ratios of chosen sequences
 * against those of rejected ones. With d the difference of rank k, {@code -(1-e) LS(beta d) - e
 * LS(-beta d)} is loss k; the gradient goes back through both permutations. Sorts are ascending and
 * stable.
 *
 * @param beta scales the margin; finite and &gt; 0, default .1
 * @param labelSmoothing assumed share of swapped pairs, in [0,.5); default 0
 * @since 0.1.0
 */
public record AotUnpaired(
        @Range(above = 0) double beta, @Range(from = 0, below = .5) double labelSmoothing)
        implements Loss.OfLogRatios {
    /** Every option at its default. */
    public AotUnpaired() {
        this(.1, 0);
    }

    /** Checks the ranges. */
    public AotUnpaired {
        Options.check(AotUnpaired.class, beta, labelSmoothing);
    }

    @Override
    public String id() {
        return "aot_unpaired";
    }

    @Override
    public boolean ofRanks() {
        return true;
    }
}
