package dev.logratio.loss;

import dev.logratio.internal.Interval;

import java.util.Objects;

/**
 * One of the losses that a preference step adds up.
 *
 * @param loss the loss
 * @param weight what it is multiplied with; finite
 * @since 0.1.0
 */
public record WeightedLoss(Loss.OfStep loss, double weight) {
    /** Checks the range. */
    public WeightedLoss {
        Objects.requireNonNull(loss, "loss");
        Interval.FINITE.require("loss_weights", weight);
    }
}
