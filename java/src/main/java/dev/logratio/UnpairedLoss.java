package dev.logratio;

import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;

import java.util.Objects;

/**
 * Sequence log-probs of single examples, each marked as chosen or rejected, to losses, rewards and
 * gradients.
 *
 * <p>All tensors are [B] float unless said otherwise; B = 0 is allowed. Gradients are those of
 * {@code sum(gradLoss * loss)}, by default of the mean loss.
 */
public final class UnpairedLoss {
    final Loss.Unpaired loss;
    final Tensor policyLogps;
    final Tensor referenceLogps;
    final Tensor chosen;
    Tensor klPolicyLogps;
    Tensor klReferenceLogps;
    Tensor gradLoss;
    Tensor losses;
    Tensor rewards;
    Tensor kl;
    Tensor gradPolicyLogps;
    Tensor gradReferenceLogps;

    private UnpairedLoss(
            Loss.Unpaired loss, Tensor policyLogps, Tensor referenceLogps, Tensor chosen) {
        this.loss = Objects.requireNonNull(loss, "loss");
        this.policyLogps = policyLogps;
        this.referenceLogps = referenceLogps;
        this.chosen = chosen;
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
     * Gives the log-probs of mismatched examples (prompts with answers of others), both or none; of
     * {@link Kto}. Its kl is {@code max(0, mean)} of their log-ratios, a constant; without them, or
     * where C = 0, it is 0.
     *
     * @param policyLogps [C] float
     * @param referenceLogps [C] float
     * @return this
     */
    public UnpairedLoss klLogps(Tensor policyLogps, Tensor referenceLogps) {
        this.klPolicyLogps = policyLogps;
        this.klReferenceLogps = referenceLogps;
        return this;
    }

    /**
     * Gives the upstream gradient of every loss.
     *
     * @param gradLoss [B] float; default 1/B each
     * @return this
     */
    public UnpairedLoss gradLoss(Tensor gradLoss) {
        this.gradLoss = gradLoss;
        return this;
    }

    /**
     * Wants the loss of every example.
     *
     * @param out [B] float
     * @return this
     */
    public UnpairedLoss loss(Tensor out) {
        this.losses = out;
        return this;
    }

    /**
     * Wants the rewards: beta times the log-ratio policy/reference.
     *
     * @param out [B] float
     * @return this
     */
    public UnpairedLoss rewards(Tensor out) {
        this.rewards = out;
        return this;
    }

    /**
     * Wants the kl that the loss was computed with; 0 for losses that have none.
     *
     * @param out [1] float
     * @return this
     */
    public UnpairedLoss kl(Tensor out) {
        this.kl = out;
        return this;
    }

    /**
     * Wants the gradient of the policy's log-probs.
     *
     * @param out [B] float
     * @return this
     */
    public UnpairedLoss gradPolicy(Tensor out) {
        this.gradPolicyLogps = out;
        return this;
    }

    /**
     * Wants the gradient of the reference's log-probs.
     *
     * @param out [B] float
     * @return this
     */
    public UnpairedLoss gradReference(Tensor out) {
        this.gradReferenceLogps = out;
        return this;
    }

    /**
     * Checks every argument, then computes; nothing is written if a check fails.
     *
     * @param backend what computes
     * @throws IllegalArgumentException if an argument is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed
     */
    public void run(Backend backend) {
        try (Arguments arguments = new Arguments(backend)) {
            Checks.unpairedLoss(this, arguments);
            backend.unpairedLoss(this);
        }
    }
}
