package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * KTO on pairs (arXiv 2402.01306), two losses per pair: {@code 1 - S(beta (dw - Kl))} of the chosen
 * and {@code 1 - S(beta (Kw - dl))} of the rejected sequence, where Kw and Kl are {@code max(0,
 * mean)} of the batch's dw and dl. The [2P] losses are those of the chosen sequences, then those of
 * the rejected. Where a mean is exactly 0 it keeps its gradient.
 *
 * @param beta scales the log-ratios; finite and &gt; 0, default .1
 * @param detach whether Kw and Kl are constants; default off
 * @since 0.1.0
 */
public record KtoPair(@Range(above = 0) double beta, boolean detach) implements Loss.OfLogRatios {
    /** Every option at its default. */
    public KtoPair() {
        this(.1, false);
    }

    /** Checks the ranges. */
    public KtoPair {
        Options.check(KtoPair.class, beta, detach);
    }

    @Override
    public String id() {
        return "kto_pair";
    }

    @Override
    public int lossesPerPair() {
        return 2;
    }
}
