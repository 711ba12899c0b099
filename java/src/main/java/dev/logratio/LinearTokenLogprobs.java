package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.LinearTokenLogprobsOperand;
import dev.logratio.internal.check.Signature;

import java.util.Objects;

/**
 * {@link TokenLogprobs} and its backward in one call, from hidden states and a head's weight in
 * place of logits. The logits {@code hidden * weight^T + bias} are float32 products (float64 on the
 * reference) that are rounded nowhere; they are made tile by tile, and no more of them are held
 * than {@link LinearOptions#budgetBytes} allows. Results do not depend on it, nor do those of a row
 * on the rows around it. {@link #plan} tells what was done.
 *
 * <p>Inputs: {@code hidden} [N,H] or [B,T,H] (F32, BF16 or F16; the reference also takes F64), the
 * last dimension contiguous, the others of any stride; {@code weight} [V,H] of the same dtype;
 * {@code labels} [N] or [B,T] (int), each in [0,vocab) or the ignore index. With a gradient that is
 * wanted, one of {@link #gradLogp}, {@link #gradEntropy} and {@link #gradLse} at least. Outputs,
 * each optional, have the labels' shape; with {@code z} the logits after {@link TokenOptions}, see
 * the setters.
 *
 * <p>A row whose label is the ignore index gets logp 0 and gradient 0; it is read if another output
 * of rows is wanted. A row whose logits hold +inf or NaN, or are all -inf, gives NaN in that row
 * only, and in the gradients of weight and bias, to which it adds.
 *
 * {@snippet file="Examples.java" region="linear"}
 *
 * @since 0.1.0
 */
public final class LinearTokenLogprobs {
    private final Call call =
            new Call(Signature.LINEAR_TOKEN_LOGPROBS, TokenOptions.DEFAULT, LinearOptions.DEFAULT);

    private LinearTokenLogprobs(Tensor hidden, Tensor weight, Tensor labels) {
        call.set(LinearTokenLogprobsOperand.HIDDEN, hidden);
        call.set(LinearTokenLogprobsOperand.WEIGHT, weight);
        call.set(LinearTokenLogprobsOperand.LABELS, labels);
    }

    /**
     * Describes a call.
     *
     * @param hidden [N,H] or [B,T,H], F32, BF16 or F16
     * @param weight [V,H] of the same dtype; rows from {@link TokenOptions#vocab} on are not read
     * @param labels [N] or [B,T], int
     * @return the operation, with no output wanted yet
     */
    public static LinearTokenLogprobs of(Tensor hidden, Tensor weight, Tensor labels) {
        return new LinearTokenLogprobs(hidden, weight, labels);
    }

    /**
     * Sets what is added to every row of logits.
     *
     * @param bias [V] F32, BF16 or F16; default 0
     * @return this
     */
    public LinearTokenLogprobs bias(Tensor bias) {
        call.set(LinearTokenLogprobsOperand.BIAS, bias);
        return this;
    }

    /**
     * Sets the budget for kept logits, what is frozen, and whether gradients are added up.
     *
     * @param options default {@link LinearOptions#DEFAULT}
     * @return this
     */
    public LinearTokenLogprobs linearOptions(LinearOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets the temperature, softcap, ignore index and vocabulary.
     *
     * @param options default {@link TokenOptions#DEFAULT}
     * @return this
     */
    public LinearTokenLogprobs tokenOptions(TokenOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets the upstream gradient of the log-probs.
     *
     * @param gradLogp float, of the labels' shape; default 0 where another upstream is given
     * @return this
     */
    public LinearTokenLogprobs gradLogp(Tensor gradLogp) {
        call.set(LinearTokenLogprobsOperand.GRAD_LOGP, gradLogp);
        return this;
    }

    /**
     * Sets the upstream gradient of the entropies.
     *
     * @param gradEntropy float, of the labels' shape; default 0 where another upstream is given
     * @return this
     */
    public LinearTokenLogprobs gradEntropy(Tensor gradEntropy) {
        call.set(LinearTokenLogprobsOperand.GRAD_ENTROPY, gradEntropy);
        return this;
    }

    /**
     * Sets the upstream gradient of the log-sum-exps, such as that of a z-loss.
     *
     * @param gradLse float, of the labels' shape; default 0 where another upstream is given
     * @return this
     */
    public LinearTokenLogprobs gradLse(Tensor gradLse) {
        call.set(LinearTokenLogprobsOperand.GRAD_LSE, gradLse);
        return this;
    }

    /**
     * Sets the tensor that receives the labels' log-probs, {@code log softmax(z)[label]}.
     *
     * @param out float, of the labels' shape
     * @return this
     */
    public LinearTokenLogprobs logp(Tensor out) {
        call.set(LinearTokenLogprobsOperand.LOGP, out);
        return this;
    }

    /**
     * Sets the tensor that receives the log-sum-exp of {@code z}.
     *
     * @param out float, a number per row
     * @return this
     */
    public LinearTokenLogprobs lse(Tensor out) {
        call.set(LinearTokenLogprobsOperand.LSE, out);
        return this;
    }

    /**
     * Sets the tensor that receives the log-sum-exp of {@code 2z}; with {@link #lse} it gives the
     * sum of the squared probabilities ({@link RowFigures#sumOfSquares}).
     *
     * @param out float, a number per row
     * @return this
     */
    public LinearTokenLogprobs lse2(Tensor out) {
        call.set(LinearTokenLogprobsOperand.LSE2, out);
        return this;
    }

    /**
     * Sets the tensor that receives the entropy of {@code softmax(z)}, in nats.
     *
     * @param out float, a number per row
     * @return this
     */
    public LinearTokenLogprobs entropy(Tensor out) {
        call.set(LinearTokenLogprobsOperand.ENTROPY, out);
        return this;
    }

    /**
     * Sets the tensor that receives the index of the largest raw logit: the lowest on ties, a NaN
     * counting as the largest.
     *
     * @param out int, a number per row
     * @return this
     */
    public LinearTokenLogprobs argmax(Tensor out) {
        call.set(LinearTokenLogprobsOperand.ARGMAX, out);
        return this;
    }

    /**
     * Sets the tensor that receives the mean of {@code z} over the columns where it is not -inf.
     *
     * @param out float, a number per row
     * @return this
     */
    public LinearTokenLogprobs meanLogit(Tensor out) {
        call.set(LinearTokenLogprobsOperand.MEAN_LOGIT, out);
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
    public LinearTokenLogprobs gradHidden(Tensor out) {
        call.set(LinearTokenLogprobsOperand.GRAD_HIDDEN, out);
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
    public LinearTokenLogprobs gradWeight(Tensor out) {
        call.set(LinearTokenLogprobsOperand.GRAD_WEIGHT, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of the bias, or that it is added to ({@link
     * LinearOptions#accumulate}).
     *
     * @param out [V] of the bias's dtype or F32; in memory of its own
     * @return this
     */
    public LinearTokenLogprobs gradBias(Tensor out) {
        call.set(LinearTokenLogprobsOperand.GRAD_BIAS, out);
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
     * What the last run chose to do.
     *
     * @return the plan
     * @throws IllegalStateException if there was none
     */
    public LinearPlan plan() {
        return call.plan();
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
