package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * AQL, discovered with DiscoPOP (arXiv 2406.08414): {@code q softplus(-y) + (1-q) max(0, 1-y)} with
 * {@code y = beta D}, {@code q = S(m - y/tau)} and {@code m = .5 + .01 (S(mean(y/tau)) - .5)} over
 * the batch; the mean carries gradient.
 *
 * @param beta scales the margin; finite and &gt; 0, default .05
 * @param tau temperature of the gate; finite and &gt; 0, default .05
 * @param variant {@code old} and {@code paper} have {@code q = S(-beta (D-m))} and {@code m} from
 *     {@code S(mean(D))}; default repo
 * @since 0.1.0
 */
public record Aql(
        @Range(above = 0) double beta, @Range(above = 0) double tau, DiscoveredVariant variant)
        implements Loss.OfLogRatios {
    /** Every option at its default. */
    public Aql() {
        this(.05, .05, DiscoveredVariant.REPO);
    }

    /** Checks the ranges. */
    public Aql {
        Options.check(Aql.class, beta, tau, variant);
    }

    @Override
    public String id() {
        return "aql";
    }
}
