package dev.logratio.trainers.quickstart;

import dev.logratio.loss.Loss;
import java.util.List;

/**
 * One preference-tuning run.
 *
 * @param name what the table calls it
 * @param loss the loss and its options
 * @param shape where the loss is stationary
 * @param steps every training step
 * @param heldOut the policy at the end, on the held-out pairs
 * @param trainingRho rho of the training pairs at the end
 * @param kl KL(policy || reference) of a whole answer, in nats
 * @param answer the likeliest answer of the policy to the first held-out prompt
 */
record RunResult(String name, Loss loss, LossShape shape, List<StepRecord> steps, Evaluation heldOut, double[] trainingRho, double kl, String answer) {
    /** Steps left out of the timings while the JVM and libtorch warm up. */
    private static final int COLD_STEPS = 10;

    double nonFiniteShare() {
        return (double) steps.stream().filter(step -> !step.finite()).count() / steps.size();
    }

    /** Mean over the steps, in milliseconds. */
    double stepMillis() {
        return 1000 * warm().stream().mapToDouble(StepRecord::seconds).average().orElseThrow();
    }

    double lossShare() {
        return warm().stream().mapToDouble(StepRecord::lossSeconds).sum() / warm().stream().mapToDouble(StepRecord::seconds).sum();
    }

    private List<StepRecord> warm() {
        return steps.size() > COLD_STEPS ? steps.subList(COLD_STEPS, steps.size()) : steps;
    }
}
