package dev.logratio;

import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Loss;

import java.util.Objects;

/**
 * Sequence log-probs of pairs to losses, rewards and every gradient.
 *
 * <p>All tensors are [P] float unless said otherwise; P = 0 is allowed. Without a reference its
 * log-probs are taken as 0. Gradients are those of {@code sum(gradLoss * loss)}, by default of the
 * mean loss.
 *
 * <p>{@link dev.logratio.loss.KtoPair} has 2P losses, those of the chosen sequences first, and so
 * has its {@code gradLoss}. Loss k and gradLoss k of {@link dev.logratio.loss.Aot} and {@link
 * dev.logratio.loss.AotUnpaired} belong to rank k. A loss with an unbiased variance over the batch
 * takes no single pair.
 */
public final class PairLoss {
    final Loss.Paired loss;
    final Tensor policyChosen;
    final Tensor policyRejected;
    Tensor referenceChosen;
    Tensor referenceRejected;
    Tensor chosenCounts;
    Tensor rejectedCounts;
    Tensor gradLoss;
    Tensor betaKl;
    Tensor betaMix;
    Tensor tau;
    Tensor losses;
    Tensor chosenRewards;
    Tensor rejectedRewards;
    Tensor gradPolicyChosen;
    Tensor gradPolicyRejected;
    Tensor gradReferenceChosen;
    Tensor gradReferenceRejected;
    Tensor gradBeta;
    Tensor gradBetaKl;
    Tensor gradBetaMix;
    Tensor gradTau;

    private PairLoss(Loss.Paired loss, Tensor policyChosen, Tensor policyRejected) {
        this.loss = Objects.requireNonNull(loss, "loss");
        this.policyChosen = policyChosen;
        this.policyRejected = policyRejected;
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
     * Gives the log-probs under the reference, both or none; none to a {@link Loss.ReferenceFree}.
     *
     * @param chosen [P] float
     * @param rejected [P] float
     * @return this
     */
    public PairLoss reference(Tensor chosen, Tensor rejected) {
        this.referenceChosen = chosen;
        this.referenceRejected = rejected;
        return this;
    }

    /**
     * Gives the token counts, for losses that divide by length; others do not look at them. Counts
     * below 1 are taken as 1.
     *
     * @param chosen [P] float or int
     * @param rejected [P] float or int
     * @return this
     */
    public PairLoss counts(Tensor chosen, Tensor rejected) {
        this.chosenCounts = chosen;
        this.rejectedCounts = rejected;
        return this;
    }

    /**
     * Gives the upstream gradient of every loss.
     *
     * @param gradLoss of the losses' shape, float; default 1/P each, 1/(2P) where a pair has two
     * @return this
     */
    public PairLoss gradLoss(Tensor gradLoss) {
        this.gradLoss = gradLoss;
        return this;
    }

    /**
     * Gives a learned betaKl, in place of the option; of {@link Dlrml}.
     *
     * @param betaKl [1] float
     * @return this
     */
    public PairLoss betaKl(Tensor betaKl) {
        this.betaKl = betaKl;
        return this;
    }

    /**
     * Gives a learned betaMix, in place of the option; of {@link Dlrml}. {@link LearnableBetaMix}
     * keeps it where the loss is safe.
     *
     * @param betaMix [1] float
     * @return this
     */
    public PairLoss betaMix(Tensor betaMix) {
        this.betaMix = betaMix;
        return this;
    }

    /**
     * Gives a learned tau, in place of the option; of {@link Dlrml}.
     *
     * @param tau [1] float
     * @return this
     */
    public PairLoss tau(Tensor tau) {
        this.tau = tau;
        return this;
    }

    /**
     * Wants the loss of every pair.
     *
     * @param out [P] float; [2P] of {@link dev.logratio.loss.KtoPair}
     * @return this
     */
    public PairLoss loss(Tensor out) {
        this.losses = out;
        return this;
    }

    /**
     * Wants the rewards: {@link Loss.Paired#beta} times the log-ratio policy/reference.
     *
     * @param chosen [P] float, or {@code null}
     * @param rejected [P] float, or {@code null}
     * @return this
     */
    public PairLoss rewards(Tensor chosen, Tensor rejected) {
        this.chosenRewards = chosen;
        this.rejectedRewards = rejected;
        return this;
    }

    /**
     * Wants the gradients of the policy's log-probs.
     *
     * @param chosen [P] float, or {@code null}
     * @param rejected [P] float, or {@code null}
     * @return this
     */
    public PairLoss gradPolicy(Tensor chosen, Tensor rejected) {
        this.gradPolicyChosen = chosen;
        this.gradPolicyRejected = rejected;
        return this;
    }

    /**
     * Wants the gradients of the reference's log-probs; an error without a reference.
     *
     * @param chosen [P] float, or {@code null}
     * @param rejected [P] float, or {@code null}
     * @return this
     */
    public PairLoss gradReference(Tensor chosen, Tensor rejected) {
        this.gradReferenceChosen = chosen;
        this.gradReferenceRejected = rejected;
        return this;
    }

    /**
     * Wants the gradient of beta, summed over the pairs; of {@code discopop}.
     *
     * @param out [1] float
     * @return this
     */
    public PairLoss gradBeta(Tensor out) {
        this.gradBeta = out;
        return this;
    }

    /**
     * Wants the gradient of betaKl, summed over the pairs; of {@code dlrml}.
     *
     * @param out [1] float
     * @return this
     */
    public PairLoss gradBetaKl(Tensor out) {
        this.gradBetaKl = out;
        return this;
    }

    /**
     * Wants the gradient of betaMix, summed over the pairs; of {@code dlrml}.
     *
     * @param out [1] float
     * @return this
     */
    public PairLoss gradBetaMix(Tensor out) {
        this.gradBetaMix = out;
        return this;
    }

    /**
     * Wants the gradient of tau, summed over the pairs; of {@code dlrml} and {@code discopop}.
     *
     * @param out [1] float
     * @return this
     */
    public PairLoss gradTau(Tensor out) {
        this.gradTau = out;
        return this;
    }

    /**
     * Checks every argument, then computes; nothing is written if a check fails.
     *
     * @param backend what computes
     * @throws IllegalArgumentException if an argument is wrong or the loss has no such output; the
     *     message names it
     * @throws IllegalStateException if a tensor is closed
     */
    public void run(Backend backend) {
        try (Arguments arguments = new Arguments(backend)) {
            Checks.pairLoss(this, arguments);
            GuardWarning.logIfDue(withTensors());
            backend.pairLoss(this);
        }
    }

    /**
     * The loss with the values of the tensors that take the place of options; those on a device are
     * not read here.
     */
    Loss.Paired withTensors() {
        if (betaKl == null && betaMix == null && tau == null) {
            return loss;
        }
        Dlrml options = (Dlrml) loss;
        return new Dlrml(
                value(betaKl, options.betaKl()),
                value(betaMix, options.betaMix()),
                value(tau, options.tau()),
                options.guard(),
                options.fDivergence());
    }

    private static double value(Tensor tensor, double option) {
        return tensor == null || !tensor.device().isHost() ? option : tensor.getDouble(0);
    }
}
