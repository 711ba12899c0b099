package dev.logratio;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * How the log-probs of a sequence's tokens become one number.
 *
 * <p>With a tail weight below 1 the batch is paired (row {@code i} with row {@code i + P}) and a
 * token past the pair's shared set counts with {@code tailWeight} times its weight: 0 is POET
 * (arXiv 2506.09457), values between are LD-DPO.
 *
 * @param reduction sum, or mean over the weights; default sum
 * @param tailWeight weight of tokens past the shared set, in [0,1]; default 1, which leaves every
 *     counted token as it is
 * @param align which tokens of a pair are shared; default by position in the completion
 * @param keepFraction in (0,1]; shortens a shared set of n tokens to its first {@code max(1,
 *     floor(keepFraction*n))}; default 1, and must be 1 unless {@code tailWeight} is below 1
 * @since 0.1.0
 */
public record SequenceOptions(
        Reduction reduction,
        @Range(from = 0, to = 1) double tailWeight,
        Align align,
        @Range(above = 0, to = 1) double keepFraction) {

    /**
     * What a sequence's token log-probs are reduced to.
     *
     * @since 0.1.0
     */
    public enum Reduction {
        /** The weighted sum. */
        SUM,
        /** The weighted sum divided by max(sum of the weights, 1). */
        MEAN
    }

    /**
     * Which tokens the two sequences of a pair share.
     *
     * @since 0.1.0
     */
    public enum Align {
        /**
         * Tokens are compared by their position in the completion: a token's position is the
         * running number of counted tokens in its row, and it is shared if that is at most the
         * smaller of the pair's numbers of counted tokens.
         */
        COMPLETION,
        /** Tokens are compared by column: one is shared if both rows count at its column. */
        ABSOLUTE
    }

    /** The sum over every counted token. */
    public static final SequenceOptions DEFAULT =
            new SequenceOptions(Reduction.SUM, 1, Align.COMPLETION, 1);

    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if a number is out of its range, or {@code keepFraction} is
     *     given without a tail weight
     */
    public SequenceOptions {
        Options.check(SequenceOptions.class, reduction, tailWeight, align, keepFraction);
        if (tailWeight == 1 && keepFraction != 1) {
            throw new IllegalArgumentException(
                    "keep_fraction is "
                            + keepFraction
                            + ", expected 1 unless tail_weight is below 1");
        }
    }

    /**
     * These options with another reduction.
     *
     * @param reduction sum or mean
     * @return the new options
     */
    public SequenceOptions withReduction(Reduction reduction) {
        return new SequenceOptions(reduction, tailWeight, align, keepFraction);
    }

    /**
     * These options with another tail weight.
     *
     * @param tailWeight in [0,1]
     * @return the new options
     * @throws IllegalArgumentException if it is out of range
     */
    public SequenceOptions withTailWeight(double tailWeight) {
        return new SequenceOptions(reduction, tailWeight, align, keepFraction);
    }

    /**
     * These options with another alignment.
     *
     * @param align which tokens are shared
     * @return the new options
     */
    public SequenceOptions withAlign(Align align) {
        return new SequenceOptions(reduction, tailWeight, align, keepFraction);
    }

    /**
     * These options with another part of the shared set kept.
     *
     * @param keepFraction in (0,1]
     * @return the new options
     * @throws IllegalArgumentException if it is out of range
     */
    public SequenceOptions withKeepFraction(double keepFraction) {
        return new SequenceOptions(reduction, tailWeight, align, keepFraction);
    }
}
