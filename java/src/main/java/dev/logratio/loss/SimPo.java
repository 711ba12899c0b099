package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * SimPO (arXiv 2405.14734): {@code -(1-e) LS(x) - e LS(-x)} with {@code x = beta (lw/nw - ll/nl) -
 * gamma}.
 *
 * @param beta scales the margin; finite and &gt; 0, default 2
 * @param gamma target margin; finite, default .5
 * @param labelSmoothing assumed share of swapped pairs, in [0,.5); default 0
 * @since 0.1.0
 */
public record SimPo(
        @Range(above = 0) double beta,
        @Range double gamma,
        @Range(from = 0, below = .5) double labelSmoothing)
        implements Loss.ReferenceFree {
    /** Every option at its default. */
    public SimPo() {
        this(2, .5, 0);
    }

    /** Checks the ranges. */
    public SimPo {
        Options.check(SimPo.class, beta, gamma, labelSmoothing);
    }

    @Override
    public String id() {
        return "simpo";
    }

    @Override
    public boolean dividesByLength() {
        return true;
    }
}
