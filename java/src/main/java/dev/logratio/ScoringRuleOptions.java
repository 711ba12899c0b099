package dev.logratio;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

import java.util.Locale;

/**
 * A strictly proper scoring rule as a loss per token (arXiv 2405.18906). With {@code p =
 * softmax(logits)}, {@code y} the label and {@code Q = sum p^2}, {@code P = sum p^alpha}.
 *
 * @param rule default {@link Rule#LOG}
 * @param alpha order of {@code POWER} and {@code PSEUDO_SPHERICAL}, finite and &gt; 1; default 2,
 *     and must be 2 for other rules
 * @param normalisation of the same two rules; default {@code SELTEN}, and must be for other rules
 * @param epsilon score smoothing, in [0,1): {@code (1-epsilon) S(y) + epsilon/vocab * sum_k S(k)};
 *     default 0
 * @param maskedLog adds {@code -(epsilon/vocab) log p_k} over the columns with {@code p_k <
 *     epsilon/vocab}; default false
 * @param vocab columns from it on take no part; in [1,V], 0 (the default) means V
 * @param ignoreIndex label of rows to ignore; default -100
 * @since 0.1.0
 */
public record ScoringRuleOptions(
        Rule rule,
        @Range(above = 1) double alpha,
        Normalisation normalisation,
        @Range(from = 0, below = 1) double epsilon,
        boolean maskedLog,
        long vocab,
        long ignoreIndex) {
    /**
     * The rules; the loss is minus the score.
     *
     * @since 0.1.0
     */
    public enum Rule {
        /** {@code -log p_y}. */
        LOG,
        /** {@code Q - 2 p_y}: the constant 1 is dropped, so that it lies in [-1,1]. */
        BRIER,
        /** {@code -p_y / sqrt(Q)}. */
        SPHERICAL,
        /** {@code -(alpha p_y^(alpha-1) - (alpha-1) P)}; of order 2, Brier. */
        POWER,
        /** {@code -p_y^(alpha-1) / P^((alpha-1)/alpha)}; of order 2, spherical. */
        PSEUDO_SPHERICAL;

        /**
         * The name that the command line uses.
         *
         * @return as {@code "pseudo_spherical"}
         */
        public String id() {
            return name().toLowerCase(Locale.ROOT);
        }

        boolean hasOrder() {
            return this == POWER || this == PSEUDO_SPHERICAL;
        }
    }

    /**
     * Scale and origin of the power rules.
     *
     * @since 0.1.0
     */
    public enum Normalisation {
        /** Selten's, which {@link Rule} gives. */
        SELTEN,
        /**
         * Jose, Nau and Winkler's: {@code -((p_y^(alpha-1)-1)/(alpha-1) - (P-1)/alpha)} and {@code
         * -((p_y/P^(1/alpha))^(alpha-1)-1)/(alpha-1)}, which become the log rule as alpha goes to
         * 1.
         */
        JNW
    }

    /** The log rule without smoothing. */
    public static final ScoringRuleOptions DEFAULT = of(Rule.LOG);

    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if a value is out of range; the message names it
     */
    public ScoringRuleOptions {
        Options.check(
                ScoringRuleOptions.class,
                rule,
                alpha,
                normalisation,
                epsilon,
                maskedLog,
                vocab,
                ignoreIndex);
        if (!rule.hasOrder() && alpha != 2) {
            throw new IllegalArgumentException(
                    "alpha is " + alpha + ", expected 2 as " + rule.id() + " has no such option");
        }
        if (!rule.hasOrder() && normalisation != Normalisation.SELTEN) {
            throw new IllegalArgumentException(
                    "normalisation is jnw, expected selten as "
                            + rule.id()
                            + " has no such option");
        }
        Options.checkVocab(vocab);
    }

    /**
     * The defaults for a rule.
     *
     * @param rule the rule
     * @return the options
     */
    public static ScoringRuleOptions of(Rule rule) {
        return new ScoringRuleOptions(rule, 2, Normalisation.SELTEN, 0, false, 0, -100);
    }

    /**
     * These options with another order and normalisation.
     *
     * @param alpha the order
     * @param normalisation scale and origin
     * @return the new options
     * @throws IllegalArgumentException if they are out of range, or the rule does not have them
     */
    public ScoringRuleOptions withOrder(double alpha, Normalisation normalisation) {
        return new ScoringRuleOptions(
                rule, alpha, normalisation, epsilon, maskedLog, vocab, ignoreIndex);
    }

    /**
     * These options with score smoothing.
     *
     * @param epsilon in [0,1)
     * @param maskedLog whether the masked log term is added
     * @return the new options
     * @throws IllegalArgumentException if epsilon is out of range
     */
    public ScoringRuleOptions withSmoothing(double epsilon, boolean maskedLog) {
        return new ScoringRuleOptions(
                rule, alpha, normalisation, epsilon, maskedLog, vocab, ignoreIndex);
    }

    /**
     * These options with the true size of a padded vocabulary.
     *
     * @param vocab columns from it on take no part; 0 means all do
     * @return the new options
     * @throws IllegalArgumentException if it is negative
     */
    public ScoringRuleOptions withVocab(long vocab) {
        return new ScoringRuleOptions(
                rule, alpha, normalisation, epsilon, maskedLog, vocab, ignoreIndex);
    }

    /**
     * These options with another ignore index.
     *
     * @param ignoreIndex label of rows to ignore
     * @return the new options
     */
    public ScoringRuleOptions withIgnoreIndex(long ignoreIndex) {
        return new ScoringRuleOptions(
                rule, alpha, normalisation, epsilon, maskedLog, vocab, ignoreIndex);
    }
}
