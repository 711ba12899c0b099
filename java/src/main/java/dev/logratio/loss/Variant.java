package dev.logratio.loss;

/** Which published form of a discovered loss is meant. */
public enum Variant {
    /** The trainer's current form: the gate is {@code S(beta * D / tau)}. */
    REPO,
    /** The form as first found: the gate is {@code S(D)}. */
    OLD
}
