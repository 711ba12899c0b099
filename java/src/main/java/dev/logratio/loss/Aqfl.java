package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * AQFL, discovered with DiscoPOP (arXiv 2406.08414): {@code b softplus(-y) + (1-b) max(0, 1-y)}
 * with {@code y = beta D}, {@code x = y/tau}, {@code b = S(.1 |x - A|)} and {@code A = .95 std(x)
 * mean(S(-x)) + .05 S(mean(x))} over the batch. The unbiased deviation needs two pairs; all
 * statistics carry gradient.
 *
 * @param beta scales the margin; finite and &gt; 0, default .05
 * @param tau temperature of the gate; finite and &gt; 0, default .05
 * @param variant {@code old} has {@code x = D}; {@code paper} has {@code A = m + .05 S(mean(x) -
 *     m)} with {@code m = Var(x) mean(S(-x))}; default repo
 * @since 0.1.0
 */
public record Aqfl(
        @Range(above = 0) double beta, @Range(above = 0) double tau, DiscoveredVariant variant)
        implements Loss.OfLogRatios {
    /** Every option at its default. */
    public Aqfl() {
        this(.05, .05, DiscoveredVariant.REPO);
    }

    /** Checks the ranges. */
    public Aqfl {
        Options.check(Aqfl.class, beta, tau, variant);
    }

    @Override
    public String id() {
        return "aqfl";
    }

    @Override
    public int smallestBatch() {
        return 2;
    }
}
