package dev.logratio.loss;

import java.util.Set;

/**
 * A preference loss with its options: an immutable record, one component an option.
 *
 * <p>An option's name in text, in messages and in the C interface is the component's name in snake case ({@code betaKl} is
 * {@code beta_kl}); an {@link FDivergence} is the two options {@code f_divergence} and {@code f_alpha}. A loss has a constructor
 * without arguments, which sets every option to its default.
 */
public sealed interface Loss permits Dlrml, DiscoPop, Sigmoid {
    /**
     * The loss's name in text and in the C interface.
     *
     * @return for instance {@code "dlrml"}
     */
    String id();

    /**
     * What rewards are scaled with: the reward of a sequence is this number times its log-ratio policy/reference.
     *
     * @return the loss's beta
     */
    double rewardBeta();

    /**
     * The score of a log-ratio.
     *
     * @return {@link FDivergence.ReverseKl} (the log-ratio itself) by default
     */
    FDivergence fDivergence();

    /**
     * The options that the loss has a gradient for.
     *
     * @return their names in snake case
     */
    Set<String> gradientOptions();
}
