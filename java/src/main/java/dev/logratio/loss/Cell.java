package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * CELL, discovered with DiscoPOP (arXiv 2406.08414): {@code (exp(-beta D) + softplus(-beta D)) /
 * 2}.
 *
 * @param beta scales the margin; finite and &gt; 0, default .05
 * @since 0.1.0
 */
public record Cell(@Range(above = 0) double beta) implements Loss.OfLogRatios {
    /** Every option at its default. */
    public Cell() {
        this(.05);
    }

    /** Checks the ranges. */
    public Cell {
        Options.check(Cell.class, beta);
    }

    @Override
    public String id() {
        return "cell";
    }
}
