package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * NCA on pairs (arXiv 2402.05369): {@code -LS(beta dw) - LS(-beta dw)/2 - LS(-beta dl)/2}.
 *
 * @param beta scales the log-ratios; finite and &gt; 0, default .1
 * @since 0.1.0
 */
public record NcaPair(@Range(above = 0) double beta) implements Loss.OfLogRatios {
    /** Every option at its default. */
    public NcaPair() {
        this(.1);
    }

    /** Checks the ranges. */
    public NcaPair {
        Options.check(NcaPair.class, beta);
    }

    @Override
    public String id() {
        return "nca_pair";
    }
}
