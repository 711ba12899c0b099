package dev.logratio;

/**
 * Which part of a model's head is not trained, and so has no gradient in a linear operation.
 *
 * @since 0.1.0
 */
public enum Frozen {
    /** None: each gradient may be asked for. */
    NONE,
    /**
     * The weight and the bias. What the gradient of hidden states needs is then summed up beside
     * the forward, so that no logits are kept and none are computed twice.
     */
    WEIGHT,
    /** The hidden states. */
    HIDDEN
}
