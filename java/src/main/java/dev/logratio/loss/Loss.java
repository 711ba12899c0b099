package dev.logratio.loss;

import java.util.List;
import java.util.Set;

/**
 * A preference loss with its options: an immutable record, one component per option.
 *
 * <p>An option's name in text, in messages and in the C interface is the component's name in snake
 * case ({@code betaKl} is {@code beta_kl}); an {@link FDivergence} is the two options {@code
 * f_divergence} and {@code f_alpha}. A loss has a constructor without arguments, which sets every
 * option to its default; any constructor throws an {@link IllegalArgumentException} that names the
 * option which is out of its range.
 *
 * <p>What a loss is computed from is its type: {@link Paired} (of the margin D, of the two
 * log-ratios, or of the policy alone), {@link Unpaired} or {@link Auxiliary}.
 *
 * @since 0.1.0
 */
public sealed interface Loss {
    /**
     * The loss's name in text and in the C interface.
     *
     * @return for instance {@code "dlrml"}
     */
    String id();

    /**
     * Further names of the loss in text, such as that of the method it belongs to.
     *
     * @return for instance {@code "dpo"}; none for most
     */
    default List<String> aliases() {
        return List.of();
    }

    /** A loss that a preference step may have. */
    sealed interface OfStep extends Loss {
        /**
         * Whether the loss divides sums of log-probs by token counts, and so cannot be given means.
         *
         * @return false unless the loss says otherwise
         */
        default boolean dividesByLength() {
            return false;
        }

        /**
         * Whether a preference step gives the loss the token counts before the tail weight to
         * divide by.
         *
         * @return false unless the loss says otherwise
         */
        default boolean dividesByFullLength() {
            return false;
        }
    }

    /** A loss of pairs of a chosen and a rejected sequence. */
    sealed interface Paired extends OfStep {
        /**
         * What rewards are scaled with: the reward of a sequence is this number times its log-ratio
         * policy/reference.
         *
         * @return the option beta; beta_kl of {@link Dlrml}
         */
        double beta();

        /**
         * The options that the loss has a gradient for even where they are numbers. Given as
         * tensors, beta, betaKl, betaMix and tau have gradients with every loss.
         *
         * @return their names in snake case
         */
        default Set<String> gradientOptions() {
            return Set.of();
        }

        /**
         * How many losses a pair has.
         *
         * @return 2 for {@link KtoPair}, 1 for all others
         */
        default int lossesPerPair() {
            return 1;
        }

        /**
         * Whether loss k belongs to rank k of a sort over the batch, instead of to pair k.
         *
         * @return true for {@link Aot} and {@link AotUnpaired}
         */
        default boolean ofRanks() {
            return false;
        }

        /**
         * The least number of pairs, besides none at all, that the loss is defined for.
         *
         * @return 2 for losses with an unbiased variance over the batch, 1 for all others
         */
        default int smallestBatch() {
            return 1;
        }
    }

    /**
     * A loss of the margin {@code D = f(dw) - f(dl)}, where {@code f} is the score of an
     * f-divergence.
     */
    sealed interface OfMargin extends Paired
            permits Dlrml, DiscoPop, Sigmoid, Hinge, Ipo, ExoPair, Robust, SigmoidNorm {
        /**
         * The score of a log-ratio.
         *
         * @return {@link FDivergence.ReverseKl} (the log-ratio itself) by default
         */
        FDivergence fDivergence();
    }

    /** A loss of the two log-ratios {@code dw} and {@code dl}, of one pair or of the batch. */
    sealed interface OfLogRatios extends Paired
            permits NcaPair,
                    BcoPair,
                    SppoHard,
                    Aot,
                    AotUnpaired,
                    ApoZero,
                    ApoDown,
                    KtoPair,
                    Dbaql,
                    Aql,
                    Aqfl,
                    Padll,
                    Cell,
                    Pfl {}

    /** A loss of the policy's log-probs {@code lw} and {@code ll}, which never has a reference. */
    sealed interface ReferenceFree extends Paired permits SimPo, Cpo, Orpo, AlphaPo {}

    /** A loss of single examples, each marked as chosen or rejected, of log-ratio {@code d}. */
    sealed interface Unpaired extends Loss permits Kto, ApoZeroUnpaired, Bco {
        /**
         * What rewards are scaled with: the reward of an example is this number times its log-ratio
         * policy/reference.
         *
         * @return the option beta
         */
        double beta();

        /**
         * Whether the loss takes log-probs of mismatched examples, which estimate a KL divergence.
         *
         * @return true for {@link Kto}
         */
        default boolean usesKl() {
            return false;
        }
    }

    /** A further term of a preference step, without rewards. */
    sealed interface Auxiliary extends OfStep permits Sft {}
}
