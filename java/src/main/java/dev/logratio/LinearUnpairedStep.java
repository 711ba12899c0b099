package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.LinearUnpairedStepOperand;
import dev.logratio.internal.check.Signature;
import dev.logratio.loss.Loss;

import java.util.Objects;

/**
 * {@link UnpairedStep} from hidden states and a head's weight in place of logits, to the gradients
 * of these. The logits {@code hidden * weight^T + bias} are float32 products (float64 on the
 * reference) that are rounded nowhere; they are made tile by tile, and no more of them are held
 * than {@link LinearOptions#budgetBytes} allows. Results do not depend on it, nor do those of a row
 * on the rows around it. {@link #plan} tells what was done.
 *
 * <p>Inputs: {@code hidden} [B,T,H] (F32, BF16 or F16; the reference also takes F64), already
 * shifted: {@code hidden[t]} predicts {@code labels[t]}; {@code weight} [V,H] of the same dtype;
 * {@code labels} [B,T] int; {@code chosen} [B]; and one of {@link #referenceLogps} and {@link
 * #referenceTokenLogps}. All else, and the metrics, are as in {@link UnpairedStep}; {@link
 * UnpairedStepMetrics#gradNorm} and {@link UnpairedStepMetrics#nonfinite} are of the gradient of
 * the logits. Tokens that do not count cost nothing: their hidden states are not read, and their
 * gradient is 0.
 *
 * <p>With {@link #cuSeqlens} sequences are packed: hidden states are then [N,H] and tensors [B,T]
 * are [N], N tokens of all sequences.
 *
 * @since 0.1.0
 */
public final class LinearUnpairedStep extends ExampleStep<LinearUnpairedStep> {
    private LinearUnpairedStep(
            Loss.Unpaired loss, Tensor hidden, Tensor weight, Tensor labels, Tensor chosen) {
        super(
                new Call(
                        Signature.LINEAR_UNPAIRED_STEP,
                        Objects.requireNonNull(loss, "loss"),
                        TokenOptions.DEFAULT,
                        SequenceOptions.DEFAULT,
                        LinearOptions.DEFAULT));
        call.set(LinearUnpairedStepOperand.HIDDEN, hidden);
        call.set(LinearUnpairedStepOperand.WEIGHT, weight);
        call.set(LinearUnpairedStepOperand.LABELS, labels);
        call.set(LinearUnpairedStepOperand.CHOSEN, chosen);
    }

    @Override
    LinearUnpairedStep self() {
        return this;
    }

    /**
     * Describes a call.
     *
     * @param loss the loss and its options
     * @param hidden [B,T,H], or packed [N,H], F32, BF16 or F16
     * @param weight [V,H] of the same dtype; rows from {@link TokenOptions#vocab} on are not read
     * @param labels [B,T], or [N] if packed, int, in [0,V) or the ignore index
     * @param chosen [B] BOOL or U8 (non-zero counts as chosen): whether the example is a desirable
     *     one
     * @return the operation, with only the metrics wanted yet
     */
    public static LinearUnpairedStep of(
            Loss.Unpaired loss, Tensor hidden, Tensor weight, Tensor labels, Tensor chosen) {
        return new LinearUnpairedStep(loss, hidden, weight, labels, chosen);
    }

    /**
     * Sets what is added to every row of logits.
     *
     * @param bias [V] F32, BF16 or F16; default 0
     * @return this
     */
    public LinearUnpairedStep bias(Tensor bias) {
        call.set(LinearUnpairedStepOperand.BIAS, bias);
        return this;
    }

    /**
     * Sets the budget for kept logits, what is frozen, and whether gradients are added up.
     *
     * @param options default {@link LinearOptions#DEFAULT}
     * @return this
     */
    public LinearUnpairedStep linearOptions(LinearOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of the hidden states. Where a token does not count
     * it is 0.
     *
     * @param out of the hidden states' shape, and of their dtype or F32, the last dimension
     *     contiguous; in memory of its own
     * @return this
     */
    public LinearUnpairedStep gradHidden(Tensor out) {
        call.set(LinearUnpairedStepOperand.GRAD_HIDDEN, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of the weight, or that it is added to ({@link
     * LinearOptions#accumulate}).
     *
     * @param out [V,H] of the weight's dtype or F32, the last dimension contiguous; in memory of
     *     its own
     * @return this
     */
    public LinearUnpairedStep gradWeight(Tensor out) {
        call.set(LinearUnpairedStepOperand.GRAD_WEIGHT, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of the bias, or that it is added to ({@link
     * LinearOptions#accumulate}).
     *
     * @param out [V] of the bias's dtype or F32; in memory of its own
     * @return this
     */
    public LinearUnpairedStep gradBias(Tensor out) {
        call.set(LinearUnpairedStepOperand.GRAD_BIAS, out);
        return this;
    }

    /**
     * What the last run or launch chose to do.
     *
     * @return the plan
     * @throws IllegalStateException if there was none
     */
    public LinearPlan plan() {
        return call.plan();
    }
}
