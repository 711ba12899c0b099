package dev.logratio.trainers.quickstart;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PairLoss;
import dev.logratio.Tensor;
import dev.logratio.loss.DlrmlShape.Point;
import dev.logratio.loss.Loss;
import dev.logratio.trainers.quickstart.SequenceScores.Score;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.DoublePredicate;
import java.util.function.ToDoubleFunction;

/**
 * How a policy does on the held-out pairs.
 *
 * @param rho per pair, the log-ratio of chosen over rejected, policy against reference
 * @param loss mean over the pairs
 * @param margin mean reward margin
 * @param accuracy share of pairs with rho &gt; 0
 * @param likelier share of pairs whose chosen answer the policy finds more likely than the rejected
 *     one
 * @param trapped share of pairs within a tenth of the loss's local minimum; NaN where it has none
 */
record Evaluation(
        double[] rho,
        double loss,
        double margin,
        double accuracy,
        double likelier,
        double trapped) {
    static Evaluation of(
            Loss.Paired loss,
            Optional<Point> minimum,
            List<Score> policy,
            List<Score> reference,
            Backend backend) {
        int pairs = policy.size();
        double[] rho = new double[pairs];
        int likelier = 0;
        for (int i = 0; i < pairs; i++) {
            Score now = policy.get(i);
            Score before = reference.get(i);
            rho[i] = (now.chosen() - now.rejected()) - (before.chosen() - before.rejected());
            likelier += now.chosen() > now.rejected() ? 1 : 0;
        }
        double accuracy = share(rho, value -> value > 0);
        double trapped =
                minimum.map(point -> share(rho, value -> isAt(point, value))).orElse(Double.NaN);
        double meanRho = Arrays.stream(rho).average().orElseThrow();
        return new Evaluation(
                rho,
                meanLoss(loss, policy, reference, backend),
                loss.beta() * meanRho,
                accuracy,
                (double) likelier / pairs,
                trapped);
    }

    /** Whether rho lies within a tenth of a minimum's own size from it. */
    static boolean isAt(Point minimum, double rho) {
        return Math.abs(rho - minimum.rho()) <= 0.1 * Math.abs(minimum.rho());
    }

    private static double share(double[] values, DoublePredicate test) {
        return (double) Arrays.stream(values).filter(test).count() / values.length;
    }

    private static double meanLoss(
            Loss.Paired loss, List<Score> policy, List<Score> reference, Backend backend) {
        int pairs = policy.size();
        try (Tensor policyChosen = tensor(policy, Score::chosen);
                Tensor policyRejected = tensor(policy, Score::rejected);
                Tensor referenceChosen = tensor(reference, Score::chosen);
                Tensor referenceRejected = tensor(reference, Score::rejected);
                Tensor losses = Tensor.zeros(DType.F64, pairs)) {
            PairLoss.of(loss, policyChosen, policyRejected)
                    .reference(referenceChosen, referenceRejected)
                    .losses(losses)
                    .run(backend);
            return Arrays.stream(losses.toDoubles()).average().orElseThrow();
        }
    }

    private static Tensor tensor(List<Score> scores, ToDoubleFunction<Score> value) {
        return Tensor.of(DType.F64, scores.stream().mapToDouble(value).toArray(), scores.size());
    }
}
