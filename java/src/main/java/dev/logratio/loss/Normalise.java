package dev.logratio.loss;

/**
 * Whether and by which token counts {@link Ipo} divides the scores of sequences.
 *
 * @since 0.1.0
 */
public enum Normalise {
    /** Divides by the sums of the tokens' weights, tail weight included. */
    ON,
    /**
     * Divides by the counts before the tail weight, in a preference step; where counts are given,
     * by these.
     */
    FULL,
    /** Not at all. */
    OFF
}
