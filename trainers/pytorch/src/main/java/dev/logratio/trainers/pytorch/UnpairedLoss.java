package dev.logratio.trainers.pytorch;

import dev.logratio.Backend;
import dev.logratio.UnpairedStep;
import dev.logratio.UnpairedStepMetrics;
import dev.logratio.loss.Loss;

import org.bytedeco.pytorch.Tensor;

import java.util.Objects;

/**
 * A loss of single examples, each marked as chosen or rejected, on PyTorch's tensors: {@link
 * UnpairedStep} and PyTorch's backward pass in one call.
 *
 * <p>Logits are Float, BFloat16 or Half and already shifted: {@code logits[t]} predicts {@code
 * labels[t]}. The gradient that is handed on has their type.
 *
 * @since 0.1.0
 */
public final class UnpairedLoss extends StepLoss<UnpairedStep, UnpairedStepMetrics, UnpairedLoss> {
    private final Loss.Unpaired loss;
    private final Tensor labels;
    private final Tensor chosen;

    private UnpairedLoss(Loss.Unpaired loss, Tensor logits, Tensor labels, Tensor chosen) {
        super(logits);
        this.loss = Objects.requireNonNull(loss, "loss");
        this.labels = Objects.requireNonNull(labels, "labels");
        this.chosen = Objects.requireNonNull(chosen, "chosen");
    }

    /**
     * Describes a call.
     *
     * @param loss the loss and its options
     * @param logits [B,T,V], or packed [N,V]
     * @param labels [B,T], or [N] if packed, Long or Int, in [0,V) or the ignore index
     * @param chosen [B] Bool or Byte
     * @return the call
     * @throws NullPointerException if an argument is null; the message names it
     */
    public static UnpairedLoss of(Loss.Unpaired loss, Tensor logits, Tensor labels, Tensor chosen) {
        return new UnpairedLoss(loss, logits, labels, chosen);
    }

    /**
     * Sets the reference's log-probs of the examples: {@link UnpairedStep#referenceLogps}.
     *
     * @param referenceLogps [B] floating-point
     * @return this
     * @throws NullPointerException if the tensor is null; the message names it
     */
    public UnpairedLoss referenceLogps(Tensor referenceLogps) {
        return tensor("reference_logps", UnpairedStep::referenceLogps, referenceLogps);
    }

    /**
     * Sets the mask: {@link UnpairedStep#mask}.
     *
     * @param mask [B,T], or [N] if packed; default every token whose label is not the ignore index
     * @return this
     * @throws NullPointerException if the tensor is null; the message names it
     */
    public UnpairedLoss mask(Tensor mask) {
        return tensor("mask", UnpairedStep::mask, mask);
    }

    @Override
    UnpairedStep step(dev.logratio.Tensor ofLogits, Views views) {
        return UnpairedStep.of(
                loss, ofLogits, views.of("labels", labels), views.of("chosen", chosen));
    }

    @Override
    void setGradient(UnpairedStep step, dev.logratio.Tensor gradient) {
        step.gradLogits(gradient);
    }

    @Override
    UnpairedStepMetrics run(UnpairedStep step, Backend backend) {
        return step.run(backend);
    }

    @Override
    UnpairedLoss self() {
        return this;
    }
}
