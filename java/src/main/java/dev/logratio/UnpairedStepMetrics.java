package dev.logratio;

/**
 * What a trainer logs of an {@link UnpairedStep}. A mean is 0 where there is nothing to take it
 * over.
 *
 * @param loss mean over the examples
 * @param rewardsChosen mean reward of the chosen examples
 * @param rewardsRejected mean reward of the rejected examples
 * @param rewardsMargin {@code rewardsChosen - rewardsRejected}
 * @param entropy mean over the counted tokens of all examples of the entropy of softmax(z), in nats
 * @param tokenAccuracy share of the chosen examples' counted tokens that are the argmax
 * @param logitsChosen mean over the chosen examples' counted tokens of the mean raw logit
 * @param logitsRejected mean over the rejected examples' counted tokens of the mean raw logit
 * @param gradNorm l2 norm of the logits' gradient before it is rounded to its dtype; 0 when the
 *     gradient is not wanted
 * @param nonfinite number of values in the losses and in the logits' gradient that are infinite or
 *     NaN
 * @since 0.1.0
 */
public record UnpairedStepMetrics(
        double loss,
        double rewardsChosen,
        double rewardsRejected,
        double rewardsMargin,
        double entropy,
        double tokenAccuracy,
        double logitsChosen,
        double logitsRejected,
        double gradNorm,
        long nonfinite) {
    /**
     * Those of a step without what takes pairs.
     *
     * @param step of any step
     * @return the metrics of single examples
     */
    static UnpairedStepMetrics of(StepMetrics step) {
        return new UnpairedStepMetrics(
                step.loss(),
                step.rewardsChosen(),
                step.rewardsRejected(),
                step.rewardsMargin(),
                step.entropy(),
                step.tokenAccuracy(),
                step.logitsChosen(),
                step.logitsRejected(),
                step.gradNorm(),
                step.nonfinite());
    }
}
