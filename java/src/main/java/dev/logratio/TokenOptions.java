package dev.logratio;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * How a logit {@code x} becomes {@code z = softcap(x) / temperature}, which label marks a row to
 * ignore, and how many columns are no padding.
 *
 * @param ignoreIndex label of rows to ignore, default -100
 * @param temperature divides the logits, finite and &gt; 0, default 1
 * @param softcap {@code c} of {@code c*tanh(x/c)}, finite and &ge; 0, default 0 (off)
 * @param vocab the true size of a padded vocabulary, in [1,V], 0 (the default) means V: columns
 *     from it on are neither read nor part of any figure, and their gradient is 0
 * @since 0.1.0
 */
public record TokenOptions(
        long ignoreIndex,
        @Range(above = 0) double temperature,
        @Range(from = 0) double softcap,
        long vocab) {
    /** Ignore index -100, temperature 1, no softcap, no padding. */
    public static final TokenOptions DEFAULT = new TokenOptions(-100, 1, 0);

    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if {@code temperature}, {@code softcap} or {@code vocab} is
     *     out of its range
     */
    public TokenOptions {
        Options.check(TokenOptions.class, ignoreIndex, temperature, softcap, vocab);
        Options.checkVocab(vocab);
    }

    /**
     * Options for a vocabulary without padding.
     *
     * @param ignoreIndex label of rows to ignore
     * @param temperature divides the logits, finite and &gt; 0
     * @param softcap the cap, finite and &ge; 0; 0 is off
     * @throws IllegalArgumentException if {@code temperature} or {@code softcap} is out of its
     *     range
     */
    public TokenOptions(long ignoreIndex, double temperature, double softcap) {
        this(ignoreIndex, temperature, softcap, 0);
    }

    /**
     * These options with another ignore index.
     *
     * @param ignoreIndex label of rows to ignore
     * @return the new options
     */
    public TokenOptions withIgnoreIndex(long ignoreIndex) {
        return new TokenOptions(ignoreIndex, temperature, softcap, vocab);
    }

    /**
     * These options with another temperature.
     *
     * @param temperature divides the logits, finite and &gt; 0
     * @return the new options
     * @throws IllegalArgumentException if it is out of range
     */
    public TokenOptions withTemperature(double temperature) {
        return new TokenOptions(ignoreIndex, temperature, softcap, vocab);
    }

    /**
     * These options with another softcap.
     *
     * @param softcap the cap, finite and &ge; 0; 0 is off
     * @return the new options
     * @throws IllegalArgumentException if it is out of range
     */
    public TokenOptions withSoftcap(double softcap) {
        return new TokenOptions(ignoreIndex, temperature, softcap, vocab);
    }

    /**
     * These options with the true size of a padded vocabulary.
     *
     * @param vocab columns from it on are padding; 0 means that none is
     * @return the new options
     * @throws IllegalArgumentException if it is negative
     */
    public TokenOptions withVocab(long vocab) {
        return new TokenOptions(ignoreIndex, temperature, softcap, vocab);
    }
}
