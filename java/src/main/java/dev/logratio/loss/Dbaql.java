package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * DBAQL, discovered with DiscoPOP (arXiv 2406.08414): {@code w softplus(-y/T) + (1-w) exp(-T y)}
 * with {@code y = beta D}, {@code T = .9} and {@code w = S(Var(y/tau))}, the unbiased variance over
 * the batch, which needs two pairs and carries gradient.
 *
 * @param beta scales the margin; finite and &gt; 0, default .05
 * @param tau scales the variance's argument; finite and &gt; 0, default .05
 * @param variant {@code old} takes {@code Var(D)}; {@code paper} is {@code repo}; default repo
 * @since 0.1.0
 */
public record Dbaql(
        @Range(above = 0) double beta, @Range(above = 0) double tau, DiscoveredVariant variant)
        implements Loss.OfLogRatios {
    /** Every option at its default. */
    public Dbaql() {
        this(.05, .05, DiscoveredVariant.REPO);
    }

    /** Checks the ranges. */
    public Dbaql {
        Options.check(Dbaql.class, beta, tau, variant);
    }

    @Override
    public String id() {
        return "dbaql";
    }

    @Override
    public int smallestBatch() {
        return 2;
    }
}
