package dev.logratio;

/**
 * What a trainer logs of a {@link PreferenceStep}. A mean over tokens is 0 when no token counts, a
 * mean over pairs when there is no pair.
 *
 * @param loss mean over the pairs
 * @param rewardsChosen mean reward of the chosen sequences
 * @param rewardsRejected mean reward of the rejected sequences
 * @param rewardsMargin mean of chosen minus rejected reward
 * @param rewardsAccuracy share of the pairs whose chosen reward is larger
 * @param entropy mean over the counted tokens of all sequences of the entropy of softmax(z), in
 *     nats
 * @param tokenAccuracy share of the counted chosen tokens that are the argmax
 * @param logitsChosen mean over the counted chosen tokens of the mean raw logit
 * @param logitsRejected mean over the counted rejected tokens of the mean raw logit
 * @param gradNorm l2 norm of the logits' gradient before it is rounded to its dtype; 0 when the
 *     gradient is not wanted
 * @param nonfinite number of values in the losses and in the logits' gradient that are infinite or
 *     NaN
 * @since 0.1.0
 */
public record StepMetrics(
        double loss,
        double rewardsChosen,
        double rewardsRejected,
        double rewardsMargin,
        double rewardsAccuracy,
        double entropy,
        double tokenAccuracy,
        double logitsChosen,
        double logitsRejected,
        double gradNorm,
        long nonfinite) {}
