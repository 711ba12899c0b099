package dev.logratio.loss;

/**
 * What {@link Dlrml} does about {@code beta_mix < tau * beta_kl}, where its loss grows
 * exponentially for bad pairs.
 *
 * @since 0.1.0
 */
public enum Guard {
    /** Nothing. */
    NONE,
    /** Computes the same, and logs a warning once per call. */
    WARN,
    /**
     * Uses {@code max(beta_mix, tau * beta_kl)}. Where that is the product, the gradient of
     * beta_mix is 0 and what it would have been goes to beta_kl and tau.
     */
    CLAMP
}
