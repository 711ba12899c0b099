package dev.logratio;

/**
 * Whether a {@link PreferenceStep} weighs every pair by WPO's weight (arXiv 2406.11827), a
 * constant: the product over its two sequences of {@code exp(mean(logp - (LSE(2z) - 2 LSE(z))))},
 * the mean over the tokens that count.
 *
 * @since 0.1.0
 */
public enum Wpo {
    /** Pairs are not weighed. */
    OFF,
    /** Each pair's losses are multiplied by its weight. */
    ON,
    /** The same, a pair's weight being at most 1. */
    CAPPED
}
