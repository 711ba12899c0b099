package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.PreferenceStepOperand;
import dev.logratio.internal.check.Signature;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.util.List;

/**
 * The whole chain in one call: logits to losses, the logits' gradient and metrics, with nothing
 * copied in between. The logits are read once forward, and read and written once backward.
 *
 * <p>Inputs: {@code logits} [2P,T,V] (F32, BF16 or F16; the reference also takes F64), already
 * shifted: {@code logits[t]} predicts {@code labels[t]}; {@code labels} [2P,T] int. A token counts
 * if its mask counts and its label is not the ignore index; rows that do not count are not read,
 * nor are their labels, and their gradient is 0. The gradient is that of the mean loss.
 *
 * <p>Rewards are beta times the log-ratio policy/reference, with the beta of the first {@link
 * Loss.Paired}, or else .1. A reference gives them even where no loss looks at it; without one, its
 * log-probs count as 0, and where no loss has a beta there are none: they are 0.
 *
 * <p>With {@link #cuSeqlens} sequences are packed: of any length, one after the other, without
 * padding. Logits are then [N,V] and tensors [2P,T] are [N], N tokens of all sequences, and results
 * are those of the padded call, to the bit.
 *
 * {@snippet file="Examples.java" region="step"}
 *
 * @since 0.1.0
 */
public final class PreferenceStep extends PairStep<PreferenceStep> {
    private PreferenceStep(List<WeightedLoss> terms, Tensor logits, Tensor labels) {
        super(
                new Call(
                        Signature.PREFERENCE_STEP,
                        options(terms),
                        TokenOptions.DEFAULT,
                        SequenceOptions.DEFAULT));
        call.set(PreferenceStepOperand.LOGITS, logits);
        call.set(PreferenceStepOperand.LABELS, labels);
    }

    @Override
    PreferenceStep self() {
        return this;
    }

    /**
     * Describes a call.
     *
     * @param loss the loss and its options
     * @param logits [2P,T,V], or packed [N,V], F32, BF16 or F16; P chosen rows, then P rejected
     * @param labels [2P,T], or [N] if packed, int, in [0,V) or the ignore index
     * @return the operation, with only the metrics wanted yet
     */
    public static PreferenceStep of(Loss.OfStep loss, Tensor logits, Tensor labels) {
        return of(List.of(new WeightedLoss(loss, 1)), logits, labels);
    }

    /**
     * Describes a call with several losses, which add up: {@code sum of weight * mean loss}.
     *
     * @param losses at least one
     * @param logits [2P,T,V], or packed [N,V], F32, BF16 or F16; P chosen rows, then P rejected
     * @param labels [2P,T], or [N] if packed, int, in [0,V) or the ignore index
     * @return the operation, with only the metrics wanted yet
     * @throws IllegalArgumentException if there is no loss
     */
    public static PreferenceStep of(List<WeightedLoss> losses, Tensor logits, Tensor labels) {
        return new PreferenceStep(losses, logits, labels);
    }

    /**
     * Sets the tensor that receives the logits' gradient.
     *
     * @param out of the logits' shape and dtype, the last dimension contiguous; the logits
     *     themselves, or memory apart from them
     * @return this
     */
    public PreferenceStep gradLogits(Tensor out) {
        call.set(PreferenceStepOperand.GRAD_LOGITS, out);
        return this;
    }

    /**
     * Writes the gradient over the logits.
     *
     * @return this
     */
    public PreferenceStep inPlace() {
        return gradLogits(call.get(PreferenceStepOperand.LOGITS));
    }
}
