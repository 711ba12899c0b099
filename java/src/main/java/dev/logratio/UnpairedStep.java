package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.UnpairedStepOperand;
import dev.logratio.loss.Loss;

import java.util.Objects;

/**
 * The whole chain of {@link UnpairedLoss} in one call, as {@link PreferenceStep} is that of pairs:
 * logits of single examples, each marked as chosen or rejected, to losses, the logits' gradient and
 * metrics, with nothing copied in between. The logits are read once forward, and read and written
 * once backward.
 *
 * <p>Inputs: {@code logits} [B,T,V] (F32, BF16 or F16; the reference also takes F64), already
 * shifted: {@code logits[t]} predicts {@code labels[t]}; {@code labels} [B,T] int; {@code chosen}
 * [B]; and one of {@link #referenceLogps} and {@link #referenceTokenLogps}. A token counts if its
 * mask counts and its label is not the ignore index; rows that do not count are not read, and their
 * gradient is 0. The gradient is that of the mean loss over the B examples; B = 0 is allowed.
 *
 * <p>With {@link #cuSeqlens} sequences are packed: of any length, one after the other, without
 * padding. Logits are then [N,V] and tensors [B,T] are [N], N tokens of all sequences, and results
 * are those of the padded call, to the bit.
 *
 * {@snippet file="Examples.java" region="unpaired"}
 *
 * @since 0.1.0
 */
public final class UnpairedStep extends ExampleStep<UnpairedStep> {
    private UnpairedStep(Loss.Unpaired loss, Tensor logits, Tensor labels, Tensor chosen) {
        super(
                new Call(
                        Signature.UNPAIRED_STEP,
                        Objects.requireNonNull(loss, "loss"),
                        TokenOptions.DEFAULT,
                        SequenceOptions.DEFAULT));
        call.set(UnpairedStepOperand.LOGITS, logits);
        call.set(UnpairedStepOperand.LABELS, labels);
        call.set(UnpairedStepOperand.CHOSEN, chosen);
    }

    @Override
    UnpairedStep self() {
        return this;
    }

    /**
     * Describes a call.
     *
     * @param loss the loss and its options
     * @param logits [B,T,V], or [N,V] if packed, F32, BF16 or F16
     * @param labels [B,T], or [N] if packed, int, in [0,V) or the ignore index
     * @param chosen [B] BOOL or U8 (non-zero counts as chosen): whether the example is a desirable
     *     one
     * @return the operation, with only the metrics wanted yet
     */
    public static UnpairedStep of(Loss.Unpaired loss, Tensor logits, Tensor labels, Tensor chosen) {
        return new UnpairedStep(loss, logits, labels, chosen);
    }

    /**
     * Sets the tensor that receives the logits' gradient.
     *
     * @param out of the logits' shape and dtype, the last dimension contiguous; the logits
     *     themselves, or memory apart from them
     * @return this
     */
    public UnpairedStep gradLogits(Tensor out) {
        call.set(UnpairedStepOperand.GRAD_LOGITS, out);
        return this;
    }

    /**
     * Writes the gradient over the logits.
     *
     * @return this
     */
    public UnpairedStep inPlace() {
        return gradLogits(call.get(UnpairedStepOperand.LOGITS));
    }
}
