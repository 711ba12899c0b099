package dev.logratio.loss;

/**
 * Which published form of the losses discovered beside {@link DiscoPop} is meant; each says what
 * its forms are.
 *
 * @since 0.1.0
 */
public enum DiscoveredVariant {
    /** The trainer's current form. */
    REPO,
    /** The form as first found. */
    OLD,
    /** The form that the paper writes. */
    PAPER
}
