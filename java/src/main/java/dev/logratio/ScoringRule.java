package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.ScoringRuleOperand;
import dev.logratio.internal.check.Signature;

import java.util.Objects;

/**
 * Strictly proper scoring rules as token losses, with the gradient of the logits (Shao et al. 2024,
 * arXiv 2405.18906).
 *
 * <p>Inputs: {@code logits} [N,V] or [B,T,V] float with contiguous rows, {@code labels} int of
 * their shape without V. An ignored row has value 0 and gradient 0 and is not read. A logit of -inf
 * has probability 0 and gradient 0; where the mathematics is +inf, so is the value. A row that is
 * all -inf, or holds +inf or NaN, gives NaN in its own value and gradient only.
 *
 * @since 0.1.0
 */
public final class ScoringRule {
    private final Call call = new Call(Signature.SCORING_RULE, ScoringRuleOptions.DEFAULT);

    private ScoringRule(Tensor logits, Tensor labels) {
        call.set(ScoringRuleOperand.LOGITS, logits);
        call.set(ScoringRuleOperand.LABELS, labels);
    }

    /**
     * Describes a call.
     *
     * @param logits [N,V] or [B,T,V] float; F64 on the reference only
     * @param labels I64 or I32 of the logits' shape without V, in [0,vocab) or the ignore index
     * @return the operation, with no output wanted yet
     */
    public static ScoringRule of(Tensor logits, Tensor labels) {
        return new ScoringRule(logits, labels);
    }

    /**
     * Sets the rule and its options.
     *
     * @param options default {@link ScoringRuleOptions#DEFAULT}
     * @return this
     */
    public ScoringRule options(ScoringRuleOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets the upstream gradient of every value.
     *
     * @param gradLoss float of the labels' shape; default 1 over the number of rows that are not
     *     ignored, the gradient of the loss
     * @return this
     */
    public ScoringRule gradLoss(Tensor gradLoss) {
        call.set(ScoringRuleOperand.GRAD_LOSS, gradLoss);
        return this;
    }

    /**
     * Sets the tensor that receives the loss of every row.
     *
     * @param out float of the labels' shape
     * @return this
     */
    public ScoringRule values(Tensor out) {
        call.set(ScoringRuleOperand.VALUES, out);
        return this;
    }

    /**
     * Sets the tensor that receives the mean over the rows that are not ignored, 0 if there is
     * none.
     *
     * @param out [1] float
     * @return this
     */
    public ScoringRule loss(Tensor out) {
        call.set(ScoringRuleOperand.LOSS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of the logits.
     *
     * @param out of the logits' shape and dtype; it may be the logits themselves
     * @return this
     */
    public ScoringRule gradLogits(Tensor out) {
        call.set(ScoringRuleOperand.GRAD_LOGITS, out);
        return this;
    }

    /**
     * Writes the gradient over the logits.
     *
     * @return this
     */
    public ScoringRule inPlace() {
        return gradLogits(call.get(ScoringRuleOperand.LOGITS));
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
