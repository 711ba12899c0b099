package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Divergence;
import dev.logratio.DivergenceOptions;
import dev.logratio.DivergenceOptions.Detach;
import dev.logratio.Tensor;

import java.util.Map;
import java.util.Objects;

/**
 * A divergence of two sets of distributions, row by row, as a DJL loss: of a student from its
 * teacher, or of two live predictions from each other. {@link LongShortLoss} pairs the rows of two
 * context lengths.
 *
 * <p>With one array of predictions, logits [N,V] or [B,T,V] (FLOAT32 or FLOAT16, on the CPU), the
 * first array of the labels is the constant side, logits of the same shape and type: {@code q}, or
 * {@code p} where the options {@linkplain Detach#P detach p}. A second one, if there is, weighs the
 * rows: [N] or [B,T], float, finite and &ge; 0.
 *
 * <p>With two arrays of predictions, {@code p} and {@code q}, both learn unless the options detach
 * one; the labels are one array, the weights of the rows.
 *
 * @since 0.1.0
 */
public final class DivergenceLoss extends ExternalLoss {
    private final DivergenceOptions options;
    private final Backend backend;

    /**
     * The results of a step.
     *
     * @param loss the reduced divergence
     * @param gradP of the loss with respect to {@code p}'s logits, with their shape, type and
     *     manager; null if it was not wanted or {@code p} is detached
     * @param gradQ the same for {@code q}
     */
    public record Step(double loss, NDArray gradP, NDArray gradQ) {}

    /**
     * A loss.
     *
     * @param options the divergence, its weights, temperature and reduction
     * @param backend computes it
     * @throws NullPointerException if an argument is null; the message names it
     */
    public DivergenceLoss(DivergenceOptions options, Backend backend) {
        super(Objects.requireNonNull(options, "options").divergence().id());
        this.options = options;
        this.backend = Objects.requireNonNull(backend, "backend");
    }

    /**
     * Computes the loss and its gradients, for training loops that call {@link
     * LogitsGradient#backward} themselves.
     *
     * @param p [N,V] or [B,T,V]
     * @param q of the same shape and type
     * @param rowWeights [N] or [B,T], float; null is 1 each
     * @param wantGradient whether to compute the gradients of the sides that are not detached
     * @return the loss and the gradients
     * @throws IllegalArgumentException if an array is wrong; the message names it
     * @throws NullPointerException if {@code p} or {@code q} is null; the message names it
     */
    public Step step(NDArray p, NDArray q, NDArray rowWeights, boolean wantGradient) {
        return step(p, q, rowWeights, wantGradient ? options.detach() : null);
    }

    /** The same; no gradient where {@code detach} is null. */
    private Step step(NDArray p, NDArray q, NDArray rowWeights, Detach detach) {
        long start = System.nanoTime();
        DjlTensors.checkRows("p", p);
        DjlTensors.checkRows("q", q);
        if (!p.getShape().equals(q.getShape()) || p.getDataType() != q.getDataType()) {
            throw new IllegalArgumentException(
                    "q is "
                            + q.getDataType()
                            + " "
                            + q.getShape()
                            + "; expected p's "
                            + p.getDataType()
                            + " "
                            + p.getShape());
        }
        NDArray gradP = detach == null || detach == Detach.P ? null : DjlTensors.emptyLike(p);
        NDArray gradQ = detach == null || detach == Detach.Q ? null : DjlTensors.emptyLike(q);
        try (Tensor pRows = DjlTensors.rows("p", p);
                Tensor qRows = DjlTensors.rows("q", q);
                Tensor weights = DjlTensors.flat("row weights", rowWeights);
                Tensor pOut = DjlTensors.rows("gradient of p", gradP);
                Tensor qOut = DjlTensors.rows("gradient of q", gradQ);
                Tensor loss = Tensor.zeros(DType.F64, 1)) {
            Divergence.of(pRows, qRows)
                    .options(detach == null ? options : options.withDetach(detach))
                    .rowWeights(weights)
                    .loss(loss)
                    .gradP(pOut)
                    .gradQ(qOut)
                    .run(backend);
            double value = loss.getDouble(0);
            NDArray learner = detach == Detach.P ? q : p;
            measured(learner, detach != null, Map.of("loss", value), start);
            return new Step(value, gradP, gradQ);
        }
    }

    @Override
    Value value(NDList labels, NDList predictions, boolean wantGradient) {
        return switch (predictions.size()) {
            case 1 -> ofOneSide(labels, predictions.get(0), wantGradient);
            case 2 -> {
                NDArray weights = DjlTensors.only("labels", labels);
                Detach detach = wantGradient ? options.detach() : null;
                Step step = step(predictions.get(0), predictions.get(1), weights, detach);
                yield Value.of(step.loss(), step.gradP(), step.gradQ());
            }
            default ->
                    throw new IllegalArgumentException(
                            "predictions hold "
                                    + predictions.size()
                                    + " arrays; expected one side's logits or both sides'");
        };
    }

    private Value ofOneSide(NDList labels, NDArray learner, boolean wantGradient) {
        if (labels.size() < 1 || labels.size() > 2) {
            throw new IllegalArgumentException(
                    "labels hold "
                            + labels.size()
                            + " arrays; expected the other side's logits and, where rows have"
                            + " weights, these");
        }
        NDArray other = labels.get(0);
        NDArray weights = labels.size() == 2 ? labels.get(1) : null;
        if (options.detach() == Detach.P) {
            Step step = step(other, learner, weights, wantGradient ? Detach.P : null);
            return Value.of(step.loss(), step.gradQ());
        }
        Step step = step(learner, other, weights, wantGradient ? Detach.Q : null);
        return Value.of(step.loss(), step.gradP());
    }
}
