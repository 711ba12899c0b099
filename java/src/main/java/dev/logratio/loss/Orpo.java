package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * ORPO (arXiv 2403.07691): {@code NLL - beta LS(o)} with NLL the chosen sequence's negative
 * log-likelihood per token and o the logarithm of the odds ratio, {@code o = aw - al -
 * (log(1-exp(aw)) - log(1-exp(al)))} of the mean log-probs {@code aw = lw/nw}, {@code al = ll/nl}.
 * A log-prob above 0, which only rounding gives, counts as 0. Equal mean log-probs have {@code o =
 * 0}; where both are 0, as those of empty sequences, the odds have no gradient. {@code aw = 0}
 * alone leaves no loss of the odds, {@code al = 0} alone makes the loss and its gradient infinite.
 *
 * @param beta weight of the odds ratio; finite and &gt; 0, default .1
 * @param nll which mean the negative log-likelihood is; default the pair's own
 * @since 0.1.0
 */
public record Orpo(@Range(above = 0) double beta, Nll nll) implements Loss.ReferenceFree {
    /** Every option at its default. */
    public Orpo() {
        this(.1, Nll.PAIR);
    }

    /** Checks the ranges. */
    public Orpo {
        Options.check(Orpo.class, beta, nll);
    }

    @Override
    public String id() {
        return "orpo";
    }

    @Override
    public boolean dividesByLength() {
        return true;
    }
}
