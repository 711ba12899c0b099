package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.LinearPreferenceStepOperand;
import dev.logratio.internal.check.Signature;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.util.List;
import java.util.Objects;

/**
 * {@link PreferenceStep} from hidden states and a head's weight in place of logits, to the
 * gradients of these. The logits {@code hidden * weight^T + bias} are float32 products (float64 on
 * the reference) that are rounded nowhere; they are made tile by tile, and no more of them are held
 * than {@link LinearOptions#budgetBytes} allows. Results do not depend on it, nor do those of a row
 * on the rows around it. {@link #plan} tells what was done.
 *
 * <p>Inputs: {@code hidden} [2P,T,H] (F32, BF16 or F16; the reference also takes F64), already
 * shifted: {@code hidden[t]} predicts {@code labels[t]}; {@code weight} [V,H] of the same dtype;
 * {@code labels} [2P,T] int. All else, and the metrics, are as in {@link PreferenceStep}, whose
 * losses and options all serve; {@link StepMetrics#gradNorm} and {@link StepMetrics#nonfinite} are
 * of the gradient of the logits. Tokens that do not count cost nothing: their hidden states are not
 * read, and their gradient is 0. The reference may be a model's head, too: {@link #referenceHead}.
 *
 * <p>With {@link #cuSeqlens} sequences are packed: hidden states are then [N,H] and tensors [2P,T]
 * are [N], N tokens of all sequences.
 *
 * {@snippet file="Examples.java" region="linear"}
 *
 * @since 0.1.0
 */
public final class LinearPreferenceStep extends PairStep<LinearPreferenceStep> {
    private LinearPreferenceStep(
            List<WeightedLoss> terms, Tensor hidden, Tensor weight, Tensor labels) {
        super(
                new Call(
                        Signature.LINEAR_PREFERENCE_STEP,
                        options(terms),
                        TokenOptions.DEFAULT,
                        SequenceOptions.DEFAULT,
                        LinearOptions.DEFAULT));
        call.set(LinearPreferenceStepOperand.HIDDEN, hidden);
        call.set(LinearPreferenceStepOperand.WEIGHT, weight);
        call.set(LinearPreferenceStepOperand.LABELS, labels);
    }

    @Override
    LinearPreferenceStep self() {
        return this;
    }

    /**
     * Describes a call.
     *
     * @param loss the loss and its options
     * @param hidden [2P,T,H], or packed [N,H], F32, BF16 or F16; P chosen rows, then P rejected
     * @param weight [V,H] of the same dtype; rows from {@link TokenOptions#vocab} on are not read
     * @param labels [2P,T], or [N] if packed, int, in [0,V) or the ignore index
     * @return the operation, with only the metrics wanted yet
     */
    public static LinearPreferenceStep of(
            Loss.OfStep loss, Tensor hidden, Tensor weight, Tensor labels) {
        return of(List.of(new WeightedLoss(loss, 1)), hidden, weight, labels);
    }

    /**
     * Describes a call with several losses, which add up: {@code sum of weight * mean loss}.
     *
     * @param losses at least one
     * @param hidden [2P,T,H], or packed [N,H], F32, BF16 or F16; P chosen rows, then P rejected
     * @param weight [V,H] of the same dtype; rows from {@link TokenOptions#vocab} on are not read
     * @param labels [2P,T], or [N] if packed, int, in [0,V) or the ignore index
     * @return the operation, with only the metrics wanted yet
     * @throws IllegalArgumentException if there is no loss
     */
    public static LinearPreferenceStep of(
            List<WeightedLoss> losses, Tensor hidden, Tensor weight, Tensor labels) {
        return new LinearPreferenceStep(losses, hidden, weight, labels);
    }

    /**
     * Sets what is added to every row of logits.
     *
     * @param bias [V] F32, BF16 or F16; default 0
     * @return this
     */
    public LinearPreferenceStep bias(Tensor bias) {
        call.set(LinearPreferenceStepOperand.BIAS, bias);
        return this;
    }

    /**
     * Sets the budget for kept logits, what is frozen, and whether gradients are added up.
     *
     * @param options default {@link LinearOptions#DEFAULT}
     * @return this
     */
    public LinearPreferenceStep linearOptions(LinearOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets the reference model's hidden states and weight. Its token log-probs are computed in the
     * same call with the same options, in place of {@link #referenceLogps} and {@link
     * #referenceTokenLogps}. Both or none.
     *
     * @param hidden as the policy's, of the same dtype; read only where a token counts
     * @param weight [V,H] of the same dtype
     * @return this
     */
    public LinearPreferenceStep referenceHead(Tensor hidden, Tensor weight) {
        call.set(LinearPreferenceStepOperand.REFERENCE_HIDDEN, hidden);
        call.set(LinearPreferenceStepOperand.REFERENCE_WEIGHT, weight);
        return this;
    }

    /**
     * Sets the bias of the reference model's head, with {@link #referenceHead}.
     *
     * @param bias [V] F32, BF16 or F16; default 0
     * @return this
     */
    public LinearPreferenceStep referenceBias(Tensor bias) {
        call.set(LinearPreferenceStepOperand.REFERENCE_BIAS, bias);
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
    public LinearPreferenceStep gradHidden(Tensor out) {
        call.set(LinearPreferenceStepOperand.GRAD_HIDDEN, out);
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
    public LinearPreferenceStep gradWeight(Tensor out) {
        call.set(LinearPreferenceStepOperand.GRAD_WEIGHT, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of the bias, or that it is added to ({@link
     * LinearOptions#accumulate}).
     *
     * @param out [V] of the bias's dtype or F32; in memory of its own
     * @return this
     */
    public LinearPreferenceStep gradBias(Tensor out) {
        call.set(LinearPreferenceStepOperand.GRAD_BIAS, out);
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
