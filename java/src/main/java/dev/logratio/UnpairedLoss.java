package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.UnpairedLossOperand;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;

import java.util.Objects;

/**
 * Sequence log-probs of single examples, each marked as chosen or rejected, to losses, rewards and
 * gradients.
 *
 * <p>All tensors are [B] float unless said otherwise; B = 0 is allowed. Gradients are those of
 * {@code sum(gradLoss * loss)}, by default of the mean loss.
 *
 * @since 0.1.0
 */
public final class UnpairedLoss {
    private final Call call;

    private UnpairedLoss(
            Loss.Unpaired loss, Tensor policyLogps, Tensor referenceLogps, Tensor chosen) {
        call = new Call(Signature.UNPAIRED_LOSS, Objects.requireNonNull(loss, "loss"));
        call.set(UnpairedLossOperand.POLICY_LOGPS, policyLogps);
        call.set(UnpairedLossOperand.REFERENCE_LOGPS, referenceLogps);
        call.set(UnpairedLossOperand.CHOSEN, chosen);
    }

    /**
     * Describes a call.
     *
     * @param loss the loss and its options
     * @param policyLogps [B] float: log-probs of the sequences under the policy
     * @param referenceLogps [B] float: under the reference
     * @param chosen [B] BOOL or U8 (non-zero counts as chosen): whether the example is a desirable
     *     one
     * @return the operation, with no output wanted yet
     */
    public static UnpairedLoss of(
            Loss.Unpaired loss, Tensor policyLogps, Tensor referenceLogps, Tensor chosen) {
        return new UnpairedLoss(loss, policyLogps, referenceLogps, chosen);
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
    public UnpairedLoss klLogps(Tensor policyLogps, Tensor referenceLogps) {
        call.set(UnpairedLossOperand.KL_POLICY_LOGPS, policyLogps);
        call.set(UnpairedLossOperand.KL_REFERENCE_LOGPS, referenceLogps);
        return this;
    }

    /**
     * Sets the upstream gradient of every loss.
     *
     * @param gradLoss [B] float; default 1/B each
     * @return this
     */
    public UnpairedLoss gradLoss(Tensor gradLoss) {
        call.set(UnpairedLossOperand.GRAD_LOSS, gradLoss);
        return this;
    }

    /**
     * Sets the tensor that receives the loss of every example.
     *
     * @param out [B] float
     * @return this
     */
    public UnpairedLoss losses(Tensor out) {
        call.set(UnpairedLossOperand.LOSS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the rewards: beta times the log-ratio policy/reference.
     *
     * @param out [B] float
     * @return this
     */
    public UnpairedLoss rewards(Tensor out) {
        call.set(UnpairedLossOperand.REWARDS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the kl that the loss was computed with; 0 for losses that have
     * none.
     *
     * @param out [1] float
     * @return this
     */
    public UnpairedLoss kl(Tensor out) {
        call.set(UnpairedLossOperand.KL, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of the policy's log-probs.
     *
     * @param out [B] float
     * @return this
     */
    public UnpairedLoss gradPolicy(Tensor out) {
        call.set(UnpairedLossOperand.GRAD_POLICY_LOGPS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of the reference's log-probs.
     *
     * @param out [B] float
     * @return this
     */
    public UnpairedLoss gradReference(Tensor out) {
        call.set(UnpairedLossOperand.GRAD_REFERENCE_LOGPS, out);
        return this;
    }

    /**
     * Checks every argument, then computes; nothing is written if a check fails.
     *
     * @param backend computes
     * @throws IllegalArgumentException if an argument is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed
     */
    public void run(Backend backend) {
        call.run(backend);
    }

    /**
     * Binds this call to a backend and its tensors, to run it many times.
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
