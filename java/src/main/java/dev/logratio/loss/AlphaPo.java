package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * AlphaPO (arXiv 2501.03884): SimPO with the reward {@code r(a) = (1 - exp(-alpha a)) / alpha} of a
 * mean log-prob a: {@code -(1-e) LS(x) - e LS(-x)} with {@code x = beta (r(lw/nw) - r(ll/nl)) -
 * gamma}.
 *
 * @param beta scales the margin; finite and &gt; 0, default 2
 * @param gamma target margin; finite, default .5
 * @param alpha bends the reward; finite and &gt;= 0, default .25. 0 is SimPO
 * @param labelSmoothing assumed share of swapped pairs, in [0,.5); default 0
 * @since 0.1.0
 */
public record AlphaPo(
        @Range(above = 0) double beta,
        @Range double gamma,
        @Range(from = 0) double alpha,
        @Range(from = 0, below = .5) double labelSmoothing)
        implements Loss.ReferenceFree {
    /** Every option at its default. */
    public AlphaPo() {
        this(2, .5, .25, 0);
    }

    /** Checks the ranges. */
    public AlphaPo {
        Options.check(AlphaPo.class, beta, gamma, alpha, labelSmoothing);
    }

    @Override
    public String id() {
        return "alphapo";
    }

    @Override
    public boolean dividesByLength() {
        return true;
    }
}
