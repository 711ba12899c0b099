package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * AOT on paired data (arXiv 2406.05882): the sorted policy ratios {@code lw - ll} of the batch
 * against its sorted reference ratios {@code rw - rl}. With d the difference of rank k, {@code
 * -(1-e) LS(beta d) - e LS(-beta d)} is loss k; the gradient goes back through both permutations.
 * Sorts are ascending and stable.
 *
 * @param beta scales the margin; finite and &gt; 0, default .1
 * @param labelSmoothing assumed share of swapped pairs, in [0,.5); default 0
 * @since 0.1.0
 */
public record Aot(@Range(above = 0) double beta, @Range(from = 0, below = .5) double labelSmoothing)
        implements Loss.OfLogRatios {
    /** Every option at its default. */
    public Aot() {
        this(.1, 0);
    }

    /** Checks the ranges. */
    public Aot {
        Options.check(Aot.class, beta, labelSmoothing);
    }

    @Override
    public String id() {
        return "aot";
    }

    @Override
    public boolean ofRanks() {
        return true;
    }
}
