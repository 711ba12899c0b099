package dev.logratio.trainers.quickstart;

import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.DlrmlShape;
import dev.logratio.loss.DlrmlShape.Point;
import dev.logratio.loss.Loss;

import java.util.List;
import java.util.Optional;

/**
 * One preference-tuning run.
 *
 * @param name what the table calls it
 * @param loss the loss and its options
 * @param shape what the loss looks like; empty for one that falls everywhere
 * @param steps every training step
 * @param heldOut the policy at the end, on the held-out pairs
 * @param trainingRho rho of the training pairs at the end
 * @param kl KL(policy || reference) of a whole answer, in nats
 * @param answer the likeliest answer of the policy to the first held-out prompt
 */
record RunResult(
        String name,
        Loss.Paired loss,
        Optional<DlrmlShape> shape,
        List<StepRecord> steps,
        Evaluation heldOut,
        double[] trainingRho,
        double kl,
        String answer) {
    /** Steps left out of the timings while the JVM and libtorch warm up. */
    private static final int COLD_STEPS = 10;

    /** The shape of a loss that may have a minimum. */
    static Optional<DlrmlShape> shapeOf(Loss.Paired loss) {
        return switch (loss) {
            case Dlrml dlrml ->
                    Optional.of(DlrmlShape.of(dlrml.betaKl(), dlrml.betaMix(), dlrml.tau()));
            case DiscoPop discoPop ->
                    Optional.of(DlrmlShape.of(discoPop.beta(), discoPop.beta(), discoPop.tau()));
            default -> Optional.empty();
        };
    }

    Optional<Point> minimum() {
        return shape.flatMap(DlrmlShape::minimum);
    }

    Optional<Point> maximum() {
        return shape.flatMap(DlrmlShape::maximum);
    }

    double nonFiniteShare() {
        return (double) steps.stream().filter(step -> !step.finite()).count() / steps.size();
    }

    /** Mean over the steps, in milliseconds. */
    double stepMillis() {
        return 1000 * warm().stream().mapToDouble(StepRecord::seconds).average().orElseThrow();
    }

    double lossShare() {
        return warm().stream().mapToDouble(StepRecord::lossSeconds).sum()
                / warm().stream().mapToDouble(StepRecord::seconds).sum();
    }

    private List<StepRecord> warm() {
        return steps.size() > COLD_STEPS ? steps.subList(COLD_STEPS, steps.size()) : steps;
    }
}
