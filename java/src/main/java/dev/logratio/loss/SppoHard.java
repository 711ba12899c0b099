package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * SPPO with hard labels (arXiv 2405.00675): {@code (dw - 1/(2 beta))^2 + (dl + 1/(2 beta))^2}.
 *
 * @param beta sets the targets 1/(2 beta) and -1/(2 beta); finite and &gt; 0, default .1
 * @since 0.1.0
 */
public record SppoHard(@Range(above = 0) double beta) implements Loss.OfLogRatios {
    /** Every option at its default. */
    public SppoHard() {
        this(.1);
    }

    /** Checks the ranges. */
    public SppoHard {
        Options.check(SppoHard.class, beta);
    }

    @Override
    public String id() {
        return "sppo_hard";
    }
}
