package dev.logratio.trainers.pytorch;

import dev.logratio.Backend;
import dev.logratio.PreferenceStep;
import dev.logratio.StepMetrics;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import org.bytedeco.pytorch.Tensor;

import java.util.List;
import java.util.Objects;

/**
 * A loss of pairs on PyTorch's tensors: {@link PreferenceStep} and PyTorch's backward pass in one
 * call.
 *
 * <pre>{@code
 * Tensor logits = model.forward(tokens); // [2P,T,V]: P chosen sequences, then P rejected
 * StepMetrics metrics =
 *         PreferenceLoss.of(new Sigmoid(), logits, labels)
 *                 .referenceLogps(reference)
 *                 .backwardInPlace();
 * optimizer.step();
 * }</pre>
 *
 * <p>Logits are Float, BFloat16 or Half and already shifted: {@code logits[t]} predicts {@code
 * labels[t]}. The gradient that is handed on has their type.
 *
 * @since 0.1.0
 */
public final class PreferenceLoss extends StepLoss<PreferenceStep, StepMetrics, PreferenceLoss> {
    private final List<WeightedLoss> losses;
    private final Tensor labels;

    private PreferenceLoss(List<WeightedLoss> losses, Tensor logits, Tensor labels) {
        super(logits);
        this.losses = List.copyOf(Objects.requireNonNull(losses, "losses"));
        this.labels = Objects.requireNonNull(labels, "labels");
    }

    /**
     * Describes a call.
     *
     * @param loss the loss and its options
     * @param logits [2P,T,V], or packed [N,V]; P chosen sequences, then P rejected
     * @param labels [2P,T], or [N] if packed, Long or Int, in [0,V) or the ignore index
     * @return the call
     * @throws NullPointerException if an argument is null; the message names it
     */
    public static PreferenceLoss of(Loss.OfStep loss, Tensor logits, Tensor labels) {
        return of(
                List.of(new WeightedLoss(Objects.requireNonNull(loss, "loss"), 1)), logits, labels);
    }

    /**
     * Describes a call with several losses, which add up.
     *
     * @param losses at least one
     * @param logits [2P,T,V], or packed [N,V]; P chosen sequences, then P rejected
     * @param labels [2P,T], or [N] if packed, Long or Int, in [0,V) or the ignore index
     * @return the call
     * @throws NullPointerException if an argument is null; the message names it
     */
    public static PreferenceLoss of(List<WeightedLoss> losses, Tensor logits, Tensor labels) {
        return new PreferenceLoss(losses, logits, labels);
    }

    /**
     * Sets the reference's sequence log-probs: {@link PreferenceStep#referenceLogps}.
     *
     * @param referenceLogps [2P] floating-point
     * @return this
     * @throws NullPointerException if the tensor is null; the message names it
     */
    public PreferenceLoss referenceLogps(Tensor referenceLogps) {
        return tensor("reference_logps", PreferenceStep::referenceLogps, referenceLogps);
    }

    /**
     * Sets the mask: {@link PreferenceStep#mask}.
     *
     * @param mask [2P,T], or [N] if packed; default every token whose label is not the ignore index
     * @return this
     * @throws NullPointerException if the tensor is null; the message names it
     */
    public PreferenceLoss mask(Tensor mask) {
        return tensor("mask", PreferenceStep::mask, mask);
    }

    @Override
    PreferenceStep step(dev.logratio.Tensor ofLogits, Views views) {
        return PreferenceStep.of(losses, ofLogits, views.of("labels", labels));
    }

    @Override
    void setGradient(PreferenceStep step, dev.logratio.Tensor gradient) {
        step.gradLogits(gradient);
    }

    @Override
    StepMetrics run(PreferenceStep step, Backend backend) {
        return step.run(backend);
    }

    @Override
    PreferenceLoss self() {
        return this;
    }
}
