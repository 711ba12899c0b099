package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.DivergenceOperand;
import dev.logratio.internal.check.Signature;

import java.util.Objects;

/**
 * How far rows of two sets of distributions are apart, with the gradient of the logits of both
 * sides.
 *
 * <p>{@code p = softmax(pLogits / temperature)}; {@code q} likewise, or non-negative weights
 * divided by their sum. Inputs: {@code p_logits} [N,V] float; {@code q_logits} [M,V] of the same
 * dtype, or {@code q_weights} [M,V] (F32; any float on the reference). Instead of one teacher's
 * logits there may be some log-probabilities of each of its rows ({@link #ofTopk}), or the logits
 * of several teachers ({@link #ofModels}). Rows of one side meet rows of the other by index,
 * without a copy: {@link #rows}; without it row k meets row k and N = M.
 *
 * <p>A logit of -inf has probability 0 and gradient 0, and where the mathematics is +inf, so is the
 * value: its gradient is then NaN on the sides that the infinity enters. A row that is all -inf, or
 * holds +inf or NaN, gives NaN in its own value and gradients only.
 *
 * @since 0.1.0
 */
public final class Divergence {
    private final Call call = new Call(Signature.DIVERGENCE, DivergenceOptions.DEFAULT);

    private Divergence(Tensor pLogits, Tensor qLogits, Tensor qWeights) {
        call.set(DivergenceOperand.P_LOGITS, pLogits);
        call.set(DivergenceOperand.Q_LOGITS, qLogits);
        call.set(DivergenceOperand.Q_WEIGHTS, qWeights);
    }

    /**
     * Describes a call on logits of both sides.
     *
     * @param pLogits [N,V] float with contiguous rows; F64 on the reference only
     * @param qLogits [M,V] of the same dtype; may be the same tensor
     * @return the operation, with no output wanted yet
     */
    public static Divergence of(Tensor pLogits, Tensor qLogits) {
        return new Divergence(pLogits, qLogits, null);
    }

    /**
     * Describes a call on logits and constant weights.
     *
     * @param pLogits [N,V] float with contiguous rows; F64 on the reference only
     * @param qWeights [M,V] F32 (any float on the reference), finite and &ge; 0 with a positive sum
     *     in each row
     * @return the operation, with no output wanted yet
     */
    public static Divergence ofWeights(Tensor pLogits, Tensor qWeights) {
        return new Divergence(pLogits, null, qWeights);
    }

    /**
     * Describes a call on logits and the log-probabilities of some columns, such as a teacher's top
     * k, which are constant. The mass that they leave is one more outcome, against all other
     * columns of {@code p}: the divergence is of J + 1 outcomes. For {@link DivergenceKind#KL_PQ},
     * {@link DivergenceKind#KL_QP} and {@link DivergenceKind#JS}.
     *
     * <p>The temperature divides {@code pLogits} alone; log-probabilities are taken as they are.
     * -inf is probability 0. Probabilities of a row that sum to 1, or up to 1.001, leave nothing;
     * where J = V no column is left, and a rest below .001 counts as rounding.
     *
     * @param pLogits [N,V] float with contiguous rows; F64 on the reference only
     * @param qIds [M,J] I64 or I32, the columns, none twice in a row; J &le; V
     * @param qLogps [M,J] float, their natural log-probabilities
     * @return the operation, with no output wanted yet
     */
    public static Divergence ofTopk(Tensor pLogits, Tensor qIds, Tensor qLogps) {
        Divergence divergence = new Divergence(pLogits, null, null);
        divergence.call.set(DivergenceOperand.Q_TOPK_IDS, qIds);
        divergence.call.set(DivergenceOperand.Q_TOPK_LOGPS, qLogps);
        return divergence;
    }

    /**
     * Describes a call on logits and the logits of several models, such as an ensemble of teachers:
     * each value is the weighted mean of the divergences from each model's row, and {@link #gradQ}
     * has the shape of {@code qLogits}. A row of {@code p} is read from memory once, whatever the
     * number of models.
     *
     * @param pLogits [N,V] float with contiguous rows; F64 on the reference only
     * @param qLogits [R,M,V] of the same dtype, R &ge; 1
     * @param weights [R] float, finite and &ge; 0 with a positive sum; they are divided by it. A
     *     model of weight 0 adds nothing, even where its value is not finite
     * @return the operation, with no output wanted yet
     */
    public static Divergence ofModels(Tensor pLogits, Tensor qLogits, Tensor weights) {
        Divergence divergence = new Divergence(pLogits, qLogits, null);
        divergence.call.set(DivergenceOperand.Q_MODEL_WEIGHTS, weights);
        return divergence;
    }

    /**
     * Sets which row meets which.
     *
     * @param pRows [K] I64 or I32, in [0,N), none twice
     * @param qRows [K] I64 or I32, in [0,M), none twice
     * @return this
     */
    public Divergence rows(Tensor pRows, Tensor qRows) {
        call.set(DivergenceOperand.P_ROWS, pRows);
        call.set(DivergenceOperand.Q_ROWS, qRows);
        return this;
    }

    /**
     * Sets the weights of the pairs of rows.
     *
     * @param rowWeights [K] float, finite and &ge; 0; default 1. A row of weight 0 adds nothing to
     *     the loss, even where its value is not finite
     * @return this
     */
    public Divergence rowWeights(Tensor rowWeights) {
        call.set(DivergenceOperand.ROW_WEIGHTS, rowWeights);
        return this;
    }

    /**
     * Sets the kind and its options.
     *
     * @param options default {@link DivergenceOptions#DEFAULT}
     * @return this
     */
    public Divergence options(DivergenceOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets the upstream gradient of the loss.
     *
     * @param gradLoss [1] float; default 1
     * @return this
     */
    public Divergence gradLoss(Tensor gradLoss) {
        call.set(DivergenceOperand.GRAD_LOSS, gradLoss);
        return this;
    }

    /**
     * Sets the tensor that receives the value of every pair of rows.
     *
     * @param out [K] float
     * @return this
     */
    public Divergence values(Tensor out) {
        call.set(DivergenceOperand.VALUES, out);
        return this;
    }

    /**
     * Sets the tensor that receives the reduced loss.
     *
     * @param out [1] float
     * @return this
     */
    public Divergence loss(Tensor out) {
        call.set(DivergenceOperand.LOSS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of the loss with respect to {@code p_logits}; not
     * with {@code p} detached. Rows that take no part get 0.
     *
     * @param out of the shape and dtype of {@code p_logits}, which it may be where the two sides
     *     have memory of their own
     * @return this
     */
    public Divergence gradP(Tensor out) {
        call.set(DivergenceOperand.GRAD_P_LOGITS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of the loss with respect to {@code q_logits}; not
     * with {@code q} detached, or given as weights or log-probabilities. Rows that take no part get
     * 0.
     *
     * @param out of the shape and dtype of {@code q_logits}, which it may be where the two sides
     *     have memory of their own
     * @return this
     */
    public Divergence gradQ(Tensor out) {
        call.set(DivergenceOperand.GRAD_Q_LOGITS, out);
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
