package dev.logratio.loss;

/**
 * Which mean the negative log-likelihood of the chosen sequences is.
 *
 * @since 0.1.0
 */
public enum Nll {
    /** The mean over a pair's own tokens: {@code -lw / nw}. */
    PAIR,
    /**
     * The mean over all tokens of the batch, the same for each pair: minus the sum of {@code lw}
     * over the sum of {@code nw}.
     */
    TOKEN
}
