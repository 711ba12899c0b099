package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * PFL, discovered with DiscoPOP (arXiv 2406.08414): with {@code y = beta D}, {@code softplus(-y)/2}
 * where the policy finds the chosen sequence more likely than the rejected one, else {@code 2
 * max(0, 1-y)}.
 *
 * @param beta scales the margin; finite and &gt; 0, default .05
 * @param tau of the paper's form; finite and &gt; 0, default .05
 * @param variant {@code old} has {@code y = D}; {@code paper} has {@code y = beta D / tau}; default
 *     repo
 * @since 0.1.0
 */
public record Pfl(
        @Range(above = 0) double beta, @Range(above = 0) double tau, DiscoveredVariant variant)
        implements Loss.OfLogRatios {
    /** Every option at its default. */
    public Pfl() {
        this(.05, .05, DiscoveredVariant.REPO);
    }

    /** Checks the ranges. */
    public Pfl {
        Options.check(Pfl.class, beta, tau, variant);
    }

    @Override
    public String id() {
        return "pfl";
    }
}
