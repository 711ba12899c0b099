package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.ScoringRule;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.Tensor;

import java.util.Map;
import java.util.Objects;

/**
 * Supervised training by a strictly proper scoring rule (Shao et al. 2024, arXiv 2405.18906), the
 * mean over the rows that are not ignored, as a DJL loss.
 *
 * <p>The predictions are one array, {@code logits} [N,V] or [B,T,V] (FLOAT32 or FLOAT16, on the
 * CPU), the labels one of INT64 or INT32 of shape [N] or [B,T], the options' ignore index where a
 * token does not count. If none counts the loss is 0.
 *
 * @since 0.1.0
 */
public final class ScoringRuleLoss extends ExternalLoss {
    private final ScoringRuleOptions options;
    private final Backend backend;

    /**
     * The results of a step.
     *
     * @param loss mean over the rows that count
     * @param gradient of the loss with respect to the logits, with their shape, type and manager;
     *     null if it was not wanted
     */
    public record Step(double loss, NDArray gradient) {}

    /**
     * A loss.
     *
     * @param options the rule, its smoothing and the ignore index
     * @param backend computes it
     * @throws NullPointerException if an argument is null; the message names it
     */
    public ScoringRuleLoss(ScoringRuleOptions options, Backend backend) {
        super(Objects.requireNonNull(options, "options").rule().id());
        this.options = options;
        this.backend = Objects.requireNonNull(backend, "backend");
    }

    /**
     * Computes the loss and its gradient, for training loops that call {@link
     * LogitsGradient#backward} themselves.
     *
     * @param logits [N,V] or [B,T,V]
     * @param labels [N] or [B,T]
     * @param wantGradient whether to compute the gradient
     * @return the loss and the gradient
     * @throws IllegalArgumentException if an array is wrong; the message names it
     * @throws NullPointerException if an array is null; the message names it
     */
    public Step step(NDArray logits, NDArray labels, boolean wantGradient) {
        long start = System.nanoTime();
        DjlTensors.checkLogits(logits, labels);
        NDArray gradient = wantGradient ? DjlTensors.emptyLike(logits) : null;
        try (Tensor x = DjlTensors.view("logits", logits);
                Tensor y = DjlTensors.view("labels", labels);
                Tensor g = gradient == null ? null : DjlTensors.view("gradient", gradient);
                Tensor loss = Tensor.zeros(DType.F64, 1)) {
            ScoringRule.of(x, y).options(options).loss(loss).gradLogits(g).run(backend);
            double value = loss.getDouble(0);
            measured(logits, wantGradient, Map.of("loss", value), start);
            return new Step(value, gradient);
        }
    }

    @Override
    Value value(NDList labels, NDList predictions, boolean wantGradient) {
        Step step = step(onlyLogits(predictions), DjlTensors.only("labels", labels), wantGradient);
        return Value.of(step.loss(), step.gradient());
    }
}
