package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.UnpairedStepOperand;
import dev.logratio.loss.Kto;
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
 * {@snippet file="Examples.java" region="unpaired"}
 *
 * @since 0.1.0
 */
public final class UnpairedStep {
    private final Call call;

    private UnpairedStep(Loss.Unpaired loss, Tensor logits, Tensor labels, Tensor chosen) {
        call =
                new Call(
                        Signature.UNPAIRED_STEP,
                        Objects.requireNonNull(loss, "loss"),
                        TokenOptions.DEFAULT,
                        SequenceOptions.DEFAULT);
        call.set(UnpairedStepOperand.LOGITS, logits);
        call.set(UnpairedStepOperand.LABELS, labels);
        call.set(UnpairedStepOperand.CHOSEN, chosen);
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
     * Sets the temperature, softcap and ignore index.
     *
     * @param options default {@link TokenOptions#DEFAULT}
     * @return this
     */
    public UnpairedStep tokenOptions(TokenOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets the reduction. The tail weight is 1, as no example shares tokens with another, so that
     * nothing else of these options is of use.
     *
     * @param options default {@link SequenceOptions#DEFAULT}
     * @return this
     */
    public UnpairedStep sequenceOptions(SequenceOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets where packed sequences end: of any length, one after the other, without padding. Logits
     * are then [N,V] and tensors [B,T] are [N], N tokens of all sequences, and results are those of
     * the padded call, to the bit. Numbers that do not rise from 0 to N are an error; on a device,
     * where they are not looked at before, each is counted as a bad value and every result is NaN.
     *
     * @param cuSeqlens [B+1] int: 0, then where each sequence ends among the N tokens, N last; a
     *     sequence without a token repeats a number
     * @return this
     */
    public UnpairedStep cuSeqlens(Tensor cuSeqlens) {
        call.set(UnpairedStepOperand.CU_SEQLENS, cuSeqlens);
        return this;
    }

    /**
     * Sets the mask; by default every token whose label is not the ignore index counts 1.
     *
     * @param mask [B,T], or [N] if packed: BOOL, U8 or F32
     * @return this
     */
    public UnpairedStep mask(Tensor mask) {
        call.set(UnpairedStepOperand.MASK, mask);
        return this;
    }

    /**
     * Sets the reference's log-probs of the examples, used as they are: reduce them with the same
     * mask and options. These or {@link #referenceTokenLogps} are needed.
     *
     * @param referenceLogps [B] float
     * @return this
     */
    public UnpairedStep referenceLogps(Tensor referenceLogps) {
        call.set(UnpairedStepOperand.REFERENCE_LOGPS, referenceLogps);
        return this;
    }

    /**
     * Sets the reference's token log-probs, which are reduced with the same mask and options. They
     * take the place of {@link #referenceLogps}.
     *
     * @param referenceTokenLogps [B,T], or [N] if packed, float; read only where a token counts
     * @return this
     */
    public UnpairedStep referenceTokenLogps(Tensor referenceTokenLogps) {
        call.set(UnpairedStepOperand.REFERENCE_TOKEN_LOGPS, referenceTokenLogps);
        return this;
    }

    /**
     * Sets the log-probs of mismatched examples (prompts with answers of others), both or none; of
     * {@link Kto}. Its kl is {@code max(0, mean)} of their log-ratios, a constant; without them, or
     * where C = 0, it is 0.
     *
     * @param policyLogps [C] float
     * @param referenceLogps [C] float
     * @return this
     */
    public UnpairedStep klLogps(Tensor policyLogps, Tensor referenceLogps) {
        call.set(UnpairedStepOperand.KL_POLICY_LOGPS, policyLogps);
        call.set(UnpairedStepOperand.KL_REFERENCE_LOGPS, referenceLogps);
        return this;
    }

    /**
     * Sets a weight for each example, by which its loss and its gradient are multiplied, besides
     * the weights of the loss itself. The mean stays one over B, and rewards are not weighed.
     *
     * @param weights [B] float, finite and &ge; 0; default 1 each
     * @return this
     */
    public UnpairedStep weights(Tensor weights) {
        call.set(UnpairedStepOperand.WEIGHTS, weights);
        return this;
    }

    /**
     * Sets the upstream gradient of the mean loss, such as a loss scale. It scales the logits'
     * gradient on its way, and nothing else.
     *
     * @param gradLoss [1] float; default 1
     * @return this
     */
    public UnpairedStep gradLoss(Tensor gradLoss) {
        call.set(UnpairedStepOperand.GRAD_LOSS, gradLoss);
        return this;
    }

    /**
     * Sets the tensor that receives the loss of every example, times its weight.
     *
     * @param out [B] float
     * @return this
     */
    public UnpairedStep losses(Tensor out) {
        call.set(UnpairedStepOperand.LOSSES, out);
        return this;
    }

    /**
     * Sets the tensor that receives the log-prob of every example.
     *
     * @param out [B] float
     * @return this
     */
    public UnpairedStep logps(Tensor out) {
        call.set(UnpairedStepOperand.LOGPS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the sum of the token weights of every example.
     *
     * @param out [B] float
     * @return this
     */
    public UnpairedStep counts(Tensor out) {
        call.set(UnpairedStepOperand.COUNTS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the rewards: beta times the log-ratio policy/reference.
     *
     * @param out [B] float
     * @return this
     */
    public UnpairedStep rewards(Tensor out) {
        call.set(UnpairedStepOperand.REWARDS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the kl that the loss was computed with; 0 for losses that have
     * none.
     *
     * @param out [1] float
     * @return this
     */
    public UnpairedStep kl(Tensor out) {
        call.set(UnpairedStepOperand.KL, out);
        return this;
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

    /**
     * Checks every argument, then computes; nothing is written if a check fails.
     *
     * @param backend computes
     * @return the metrics of the step
     * @throws IllegalArgumentException if an argument is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed
     */
    public UnpairedStepMetrics run(Backend backend) {
        return UnpairedStepMetrics.of(call.runWithMetrics(backend));
    }

    /**
     * As {@link #run}, without the metrics. On CUDA they would have to be waited for: this starts
     * the step and returns, so it can be captured in a graph.
     *
     * @param backend computes
     * @throws IllegalArgumentException if an argument is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed
     */
    public void launch(Backend backend) {
        call.run(backend);
    }

    /**
     * Binds this call to a backend and its tensors, to launch it many times.
     *
     * @param backend computes
     * @return the call; close it
     * @throws IllegalArgumentException if an argument is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed
     */
    public PreparedCall prepare(Backend backend) {
        return new PreparedCall(call.bind(backend));
    }
}
