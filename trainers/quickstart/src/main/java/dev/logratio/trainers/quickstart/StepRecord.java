package dev.logratio.trainers.quickstart;

/**
 * The measurements of one training step, on its own batch.
 *
 * @param loss mean over the batch's pairs
 * @param margin mean reward margin
 * @param accuracy share of pairs with rho &gt; 0
 * @param finite whether the loss and every element of its gradient were finite
 * @param seconds the whole step
 * @param lossSeconds the part spent in the loss and its gradient
 */
record StepRecord(
        double loss,
        double margin,
        double accuracy,
        boolean finite,
        double seconds,
        double lossSeconds) {}
