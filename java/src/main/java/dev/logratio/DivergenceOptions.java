package dev.logratio;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

/**
 * Which divergence, and how the values of the rows become one loss.
 *
 * @param divergence default {@link DivergenceKind#SCE}
 * @param w1 weight of {@code H(p,q)} in {@code SCE}, finite and &ge; 0; default 1, and must be 1
 *     for others
 * @param w2 weight of {@code H(q,p)}, as {@code w1}
 * @param temperature divides the logits, finite and &gt; 0; default 1. The loss is not multiplied
 *     by its square
 * @param jsWeight {@code w} in {@code JS}, {@code w KL(p,m) + (1-w) KL(q,m)} with {@code m = w p +
 *     (1-w) q}, in (0,1); default .5, and must be .5 for others. The generalised JSD of weight beta
 *     of TRL's GKD trainer (arXiv 2306.13649), with the student as {@code p}, has the weight 1 -
 *     beta here
 * @param vocab columns from it on are padding, which is not read and has gradient 0; in [1,V], 0
 *     (the default) means V
 * @param detach the side that has no gradient; default none
 * @param reduction mean over the rows, weighted by their weights, or the weighted sum; default mean
 * @since 0.1.0
 */
public record DivergenceOptions(
        DivergenceKind divergence,
        @Range(from = 0) double w1,
        @Range(from = 0) double w2,
        @Range(above = 0) double temperature,
        @Range(above = 0, below = 1) double jsWeight,
        long vocab,
        Detach detach,
        Reduction reduction) {
    /**
     * The side that is taken as constant.
     *
     * @since 0.1.0
     */
    public enum Detach {
        /** Both sides are live. */
        NONE,
        /** {@code p} is constant. */
        P,
        /** {@code q} is constant. */
        Q
    }

    /**
     * How the values become the loss.
     *
     * @since 0.1.0
     */
    public enum Reduction {
        /** Sum of weight times value over the sum of the weights; 0 where that is 0. */
        MEAN,
        /** Sum of weight times value. */
        SUM
    }

    /** Symmetric cross entropy with both weights 1, temperature 1, both sides live, mean. */
    public static final DivergenceOptions DEFAULT = of(DivergenceKind.SCE);

    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if a value is out of range; the message names it
     */
    public DivergenceOptions {
        Options.check(
                DivergenceOptions.class,
                divergence,
                w1,
                w2,
                temperature,
                jsWeight,
                vocab,
                detach,
                reduction);
        require("w1", w1, 1, "1", divergence == DivergenceKind.SCE, divergence);
        require("w2", w2, 1, "1", divergence == DivergenceKind.SCE, divergence);
        require("js_weight", jsWeight, .5, "0.5", divergence == DivergenceKind.JS, divergence);
        Options.checkVocab(vocab);
    }

    /**
     * The defaults for a divergence.
     *
     * @param divergence which
     * @return the options
     */
    public static DivergenceOptions of(DivergenceKind divergence) {
        return new DivergenceOptions(divergence, 1, 1, 1, .5, 0, Detach.NONE, Reduction.MEAN);
    }

    /**
     * These options with other weights of the two cross entropies.
     *
     * @param w1 of {@code H(p,q)}
     * @param w2 of {@code H(q,p)}
     * @return the new options
     * @throws IllegalArgumentException if one is out of range, or not 1 where the divergence is not
     *     {@code SCE}
     */
    public DivergenceOptions withWeights(double w1, double w2) {
        return new DivergenceOptions(
                divergence, w1, w2, temperature, jsWeight, vocab, detach, reduction);
    }

    /**
     * These options with another temperature.
     *
     * @param temperature divides the logits, finite and &gt; 0
     * @return the new options
     * @throws IllegalArgumentException if it is out of range
     */
    public DivergenceOptions withTemperature(double temperature) {
        return new DivergenceOptions(
                divergence, w1, w2, temperature, jsWeight, vocab, detach, reduction);
    }

    /**
     * These options with another weight of {@code p} in Jensen-Shannon's mixture.
     *
     * @param jsWeight in (0,1)
     * @return the new options
     * @throws IllegalArgumentException if it is out of range, or not .5 where the divergence is not
     *     {@code JS}
     */
    public DivergenceOptions withJsWeight(double jsWeight) {
        return new DivergenceOptions(
                divergence, w1, w2, temperature, jsWeight, vocab, detach, reduction);
    }

    /**
     * These options with another number of columns that take part.
     *
     * @param vocab in [1,V], or 0 for all
     * @return the new options
     * @throws IllegalArgumentException if it is negative
     */
    public DivergenceOptions withVocab(long vocab) {
        return new DivergenceOptions(
                divergence, w1, w2, temperature, jsWeight, vocab, detach, reduction);
    }

    /**
     * These options with another constant side.
     *
     * @param detach the side without a gradient
     * @return the new options
     */
    public DivergenceOptions withDetach(Detach detach) {
        return new DivergenceOptions(
                divergence, w1, w2, temperature, jsWeight, vocab, detach, reduction);
    }

    /**
     * These options with another reduction.
     *
     * @param reduction mean or sum
     * @return the new options
     */
    public DivergenceOptions withReduction(Reduction reduction) {
        return new DivergenceOptions(
                divergence, w1, w2, temperature, jsWeight, vocab, detach, reduction);
    }

    private static void require(
            String name,
            double value,
            double only,
            String onlyText,
            boolean hasOption,
            DivergenceKind divergence) {
        if (!hasOption && value != only) {
            throw new IllegalArgumentException(
                    name
                            + " is "
                            + value
                            + ", expected "
                            + onlyText
                            + " as "
                            + divergence.id()
                            + " has no such option");
        }
    }
}
