package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.PairLossOperand;
import dev.logratio.internal.check.Signature;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.LearnableBetaMix;
import dev.logratio.loss.Loss;

import java.util.Objects;

/**
 * Sequence log-probs of pairs to losses, rewards and every gradient.
 *
 * <p>All tensors are [P] float unless said otherwise; P = 0 is allowed. A loss that has a reference
 * needs {@link #reference} or {@link #referenceFree}. Gradients are those of {@code sum(gradLoss *
 * loss)}, by default of the mean loss. Formulas and papers are told by the losses' own types.
 *
 * {@snippet file="Examples.java" region="pairs"}
 *
 * <p>{@link dev.logratio.loss.KtoPair} has 2P losses, those of the chosen sequences first, and so
 * has its {@code gradLoss}. Loss k and gradLoss k of {@link dev.logratio.loss.Aot} and {@link
 * dev.logratio.loss.AotUnpaired} belong to rank k. A loss with an unbiased variance over the batch
 * takes no single pair.
 *
 * @since 0.1.0
 */
public final class PairLoss {
    private final Call call;

    private PairLoss(Loss.Paired loss, Tensor policyChosen, Tensor policyRejected) {
        call = new Call(Signature.PAIR_LOSS, Objects.requireNonNull(loss, "loss"));
        call.set(PairLossOperand.POLICY_CHOSEN, policyChosen);
        call.set(PairLossOperand.POLICY_REJECTED, policyRejected);
    }

    /**
     * Describes a call.
     *
     * @param loss the loss and its options
     * @param policyChosen [P] float: log-probs of the chosen sequences under the policy
     * @param policyRejected [P] float: those of the rejected sequences
     * @return the operation, with no output wanted yet
     */
    public static PairLoss of(Loss.Paired loss, Tensor policyChosen, Tensor policyRejected) {
        return new PairLoss(loss, policyChosen, policyRejected);
    }

    /**
     * Sets the log-probs under the reference. A loss that has a reference needs them, unless the
     * call is {@link #referenceFree}; a {@link Loss.ReferenceFree} takes none.
     *
     * @param chosen [P] float
     * @param rejected [P] float
     * @return this
     */
    public PairLoss reference(Tensor chosen, Tensor rejected) {
        call.set(PairLossOperand.REFERENCE_CHOSEN, chosen);
        call.set(PairLossOperand.REFERENCE_REJECTED, rejected);
        return this;
    }

    /**
     * Says that the loss is computed without the reference that it could have: log-probs of 0 stand
     * in its place. Losses that never have one need not say so.
     *
     * @return this
     */
    public PairLoss referenceFree() {
        call.referenceFree();
        return this;
    }

    /**
     * Sets the token counts, for losses that divide by length; others do not look at them. Counts
     * below 1 are taken as 1.
     *
     * @param chosen [P] float or int
     * @param rejected [P] float or int
     * @return this
     */
    public PairLoss counts(Tensor chosen, Tensor rejected) {
        call.set(PairLossOperand.CHOSEN_COUNTS, chosen);
        call.set(PairLossOperand.REJECTED_COUNTS, rejected);
        return this;
    }

    /**
     * Sets the upstream gradient of every loss.
     *
     * @param gradLoss of the losses' shape, float; default 1/P each, 1/(2P) where a pair has two
     * @return this
     */
    public PairLoss gradLoss(Tensor gradLoss) {
        call.set(PairLossOperand.GRAD_LOSS, gradLoss);
        return this;
    }

    /**
     * Sets beta in place of the loss's option: one that is learned, or each pair's own. Of a loss
     * of ranks element k of [P] belongs to rank k, as loss k does; the reward of pair k is of it
     * all the same.
     *
     * @param beta [1] or [P] float; finite and &gt; 0. On a device it is taken as it is
     * @return this
     */
    public PairLoss beta(Tensor beta) {
        call.set(PairLossOperand.BETA, beta);
        return this;
    }

    /**
     * Sets betaKl in place of the option of {@link Dlrml}: one that is learned, or each pair's own.
     *
     * @param betaKl [1] or [P] float; finite and &gt; 0. On a device it is taken as it is
     * @return this
     */
    public PairLoss betaKl(Tensor betaKl) {
        call.set(PairLossOperand.BETA_KL, betaKl);
        return this;
    }

    /**
     * Sets betaMix in place of the option of {@link Dlrml}: one that is learned, or each pair's
     * own. {@link LearnableBetaMix} keeps it where the loss is safe.
     *
     * @param betaMix [1] or [P] float; finite. On a device it is taken as it is
     * @return this
     */
    public PairLoss betaMix(Tensor betaMix) {
        call.set(PairLossOperand.BETA_MIX, betaMix);
        return this;
    }

    /**
     * Sets tau in place of the loss's option: one that is learned, or each pair's own; of losses
     * that have a tau.
     *
     * @param tau [1] or [P] float; finite and &gt; 0. On a device it is taken as it is
     * @return this
     */
    public PairLoss tau(Tensor tau) {
        call.set(PairLossOperand.TAU, tau);
        return this;
    }

    /**
     * Sets the tensor that receives the loss of every pair.
     *
     * @param out [P] float; [2P] for {@link dev.logratio.loss.KtoPair}
     * @return this
     */
    public PairLoss losses(Tensor out) {
        call.set(PairLossOperand.LOSS, out);
        return this;
    }

    /**
     * Sets the tensors that receive the rewards: {@link Loss.Paired#beta} times the log-ratio
     * policy/reference.
     *
     * @param chosen [P] float, or {@code null}
     * @param rejected [P] float, or {@code null}
     * @return this
     */
    public PairLoss rewards(Tensor chosen, Tensor rejected) {
        call.set(PairLossOperand.CHOSEN_REWARDS, chosen);
        call.set(PairLossOperand.REJECTED_REWARDS, rejected);
        return this;
    }

    /**
     * Sets the tensors that receive the gradients of the policy's log-probs.
     *
     * @param chosen [P] float, or {@code null}
     * @param rejected [P] float, or {@code null}
     * @return this
     */
    public PairLoss gradPolicy(Tensor chosen, Tensor rejected) {
        call.set(PairLossOperand.GRAD_POLICY_CHOSEN, chosen);
        call.set(PairLossOperand.GRAD_POLICY_REJECTED, rejected);
        return this;
    }

    /**
     * Sets the tensors that receive the gradients of the reference's log-probs; an error without a
     * reference.
     *
     * @param chosen [P] float, or {@code null}
     * @param rejected [P] float, or {@code null}
     * @return this
     */
    public PairLoss gradReference(Tensor chosen, Tensor rejected) {
        call.set(PairLossOperand.GRAD_REFERENCE_CHOSEN, chosen);
        call.set(PairLossOperand.GRAD_REFERENCE_REJECTED, rejected);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of beta: of its tensor's shape, [1] being summed
     * over the pairs. Where beta is no tensor {@link dev.logratio.loss.DiscoPop} alone has it, [1].
     *
     * @param out [1] or [P] float
     * @return this
     */
    public PairLoss gradBeta(Tensor out) {
        call.set(PairLossOperand.GRAD_BETA, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of betaKl: of its tensor's shape, [1] being summed
     * over the pairs. Where betaKl is no tensor it is [1].
     *
     * @param out [1] or [P] float
     * @return this
     */
    public PairLoss gradBetaKl(Tensor out) {
        call.set(PairLossOperand.GRAD_BETA_KL, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of betaMix: of its tensor's shape, [1] being
     * summed over the pairs. Where betaMix is no tensor it is [1].
     *
     * @param out [1] or [P] float
     * @return this
     */
    public PairLoss gradBetaMix(Tensor out) {
        call.set(PairLossOperand.GRAD_BETA_MIX, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of tau: of its tensor's shape, [1] being summed
     * over the pairs. Where tau is no tensor {@link Dlrml} and {@link dev.logratio.loss.DiscoPop}
     * alone have it, [1].
     *
     * @param out [1] or [P] float
     * @return this
     */
    public PairLoss gradTau(Tensor out) {
        call.set(PairLossOperand.GRAD_TAU, out);
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
