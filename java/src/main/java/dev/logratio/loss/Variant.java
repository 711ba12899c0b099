package dev.logratio.loss;

/**
 * Which published form of {@link DiscoPop} is meant.
 *
 * @since 0.1.0
 */
public enum Variant {
    /** The trainer's current form: the gate is {@code S(beta * D / tau)}. */
    REPO,
    /** The form as first found: the gate is {@code S(D)}. */
    OLD
}
