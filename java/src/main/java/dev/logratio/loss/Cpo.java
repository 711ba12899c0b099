package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * CPO (arXiv 2401.08417): {@code -(1-e) LS(z) - e LS(-z) + alpha NLL} with {@code z = beta (lw -
 * ll)} and NLL the chosen sequence's negative log-likelihood per token. It takes means of token
 * log-probs as well as sums: NLL stays what it is.
 *
 * @param beta scales the margin; finite and &gt; 0, default .1
 * @param alpha weight of the negative log-likelihood; finite and &gt; 0, default 1
 * @param labelSmoothing assumed share of swapped pairs, in [0,.5); default 0
 * @param nll which mean the negative log-likelihood is; default the pair's own
 * @since 0.1.0
 */
public record Cpo(
        @Range(above = 0) double beta,
        @Range(above = 0) double alpha,
        @Range(from = 0, below = .5) double labelSmoothing,
        Nll nll)
        implements Loss.ReferenceFree {
    /** Every option at its default. */
    public Cpo() {
        this(.1, 1, 0, Nll.PAIR);
    }

    /** Checks the ranges. */
    public Cpo {
        Options.check(Cpo.class, beta, alpha, labelSmoothing, nll);
    }

    @Override
    public String id() {
        return "cpo";
    }
}
