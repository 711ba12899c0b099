package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

import java.util.List;

/**
 * SLiC's hinge (arXiv 2305.10425): {@code max(0, 1 - beta D)}, with derivative 0 at the kink.
 *
 * @param beta scales the margin; finite and &gt; 0, default .1
 * @param fDivergence the score of a log-ratio; default reverse KL
 * @since 0.1.0
 */
public record Hinge(@Range(above = 0) double beta, FDivergence fDivergence)
        implements Loss.OfMargin {
    /** Every option at its default. */
    public Hinge() {
        this(.1, new FDivergence.ReverseKl());
    }

    /** Checks the ranges. */
    public Hinge {
        Options.check(Hinge.class, beta, fDivergence);
    }

    @Override
    public String id() {
        return "hinge";
    }

    @Override
    public List<String> aliases() {
        return List.of("slic");
    }
}
