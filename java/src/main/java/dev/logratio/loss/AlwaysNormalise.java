package dev.logratio.loss;

/**
 * Which token counts {@link SigmoidNorm} divides the scores of sequences by.
 *
 * @since 0.1.0
 */
public enum AlwaysNormalise {
    /** Divides by the sums of the tokens' weights, tail weight included. */
    ON,
    /**
     * Divides by the counts before the tail weight, in a preference step; where counts are given,
     * by these.
     */
    FULL
}
