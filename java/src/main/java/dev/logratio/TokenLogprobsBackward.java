package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.TokenLogprobsBackwardOperand;

import java.util.Objects;

/**
 * The gradient of {@link TokenLogprobs}: {@code grad_logits = gradLogp * d logp/d logits +
 * gradEntropy * d entropy/d logits + gradLse * d lse/d logits + gradTail * d tail/d logits}, summed
 * over a row's labels where there are several, with one read and one write of a row.
 *
 * <p>Inputs: {@code logits} and {@code labels} as in the forward; {@code lse}, {@code entropy}
 * where {@code gradEntropy} is given, and {@code tail} where {@code gradTail} is, float, a number
 * per row, as the forward gave them. At least one upstream gradient. A row that is ignored gets 0,
 * as does one whose upstream gradients are all 0, and a logit of -inf.
 *
 * @since 0.1.0
 */
public final class TokenLogprobsBackward {
    private final Call call = new Call(Signature.TOKEN_LOGPROBS_BACKWARD, TokenOptions.DEFAULT);

    private TokenLogprobsBackward(Tensor logits, Tensor labels, Tensor lse) {
        call.set(TokenLogprobsBackwardOperand.LOGITS, logits);
        call.set(TokenLogprobsBackwardOperand.LABELS, labels);
        call.set(TokenLogprobsBackwardOperand.LSE, lse);
    }

    /**
     * Describes a call.
     *
     * @param logits [N,V] or [B,T,V], F32, BF16 or F16
     * @param labels [N] or [B,T], int; or [N,K] or [B,T,K], K labels per row
     * @param lse float, a number per row: the forward's log-sum-exp (F64 loses nothing; where the
     *     type leaves too few digits for a row's probabilities, or for what the label's is short of
     *     1, the row is read once more and summed again)
     * @return the operation
     */
    public static TokenLogprobsBackward of(Tensor logits, Tensor labels, Tensor lse) {
        return new TokenLogprobsBackward(logits, labels, lse);
    }

    /**
     * Sets the temperature, softcap, ignore index and vocabulary; the same as in the forward.
     *
     * @param options default {@link TokenOptions#DEFAULT}
     * @return this
     */
    public TokenLogprobsBackward tokenOptions(TokenOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets the forward's entropy, which {@link #gradEntropy} needs.
     *
     * @param entropy float, a number per row
     * @return this
     */
    public TokenLogprobsBackward entropy(Tensor entropy) {
        call.set(TokenLogprobsBackwardOperand.ENTROPY, entropy);
        return this;
    }

    /**
     * Sets the upstream gradient of every log-prob.
     *
     * @param gradLogp float, of the labels' shape
     * @return this
     */
    public TokenLogprobsBackward gradLogp(Tensor gradLogp) {
        call.set(TokenLogprobsBackwardOperand.GRAD_LOGP, gradLogp);
        return this;
    }

    /**
     * Sets the upstream gradient of every entropy.
     *
     * @param gradEntropy float, a number per row
     * @return this
     */
    public TokenLogprobsBackward gradEntropy(Tensor gradEntropy) {
        call.set(TokenLogprobsBackwardOperand.GRAD_ENTROPY, gradEntropy);
        return this;
    }

    /**
     * Sets the upstream gradient of every log-sum-exp, which is what a z-loss hands back.
     *
     * @param gradLse float, a number per row
     * @return this
     */
    public TokenLogprobsBackward gradLse(Tensor gradLse) {
        call.set(TokenLogprobsBackwardOperand.GRAD_LSE, gradLse);
        return this;
    }

    /**
     * Sets the forward's tail, which {@link #gradTail} needs; as F64 it loses nothing, and where
     * its type leaves too few digits the row is read once more and summed again.
     *
     * @param tail float, a number per row
     * @return this
     */
    public TokenLogprobsBackward tail(Tensor tail) {
        call.set(TokenLogprobsBackwardOperand.TAIL, tail);
        return this;
    }

    /**
     * Sets the upstream gradient of every tail, with K labels per row; it is not used where the
     * tail is -inf.
     *
     * @param gradTail float, a number per row
     * @return this
     */
    public TokenLogprobsBackward gradTail(Tensor gradTail) {
        call.set(TokenLogprobsBackwardOperand.GRAD_TAIL, gradTail);
        return this;
    }

    /**
     * Sets where each row's kept columns begin and end among {@link #keptIds}, as in the forward.
     * Other columns get 0. The {@code gradLogp} of a row whose label is not kept is not used.
     *
     * @param offsets int [N+1], N = B*T for logits [B,T,V]: row {@code r} keeps the ids from {@code
     *     offsets[r]} to before {@code offsets[r+1]}, at least one; the first is 0, the last M;
     *     default all columns
     * @return this
     */
    public TokenLogprobsBackward keptOffsets(Tensor offsets) {
        call.set(TokenLogprobsBackwardOperand.KEPT_OFFSETS, offsets);
        return this;
    }

    /**
     * Sets the columns that rows keep, with {@link #keptOffsets} and one label per row.
     *
     * @param ids int [M]: columns in [0,V), or in [0,vocab) where that option is given, ascending
     *     within a row; default all columns
     * @return this
     */
    public TokenLogprobsBackward keptIds(Tensor ids) {
        call.set(TokenLogprobsBackwardOperand.KEPT_IDS, ids);
        return this;
    }

    /**
     * Sets the tensor that receives the logits' gradient.
     *
     * @param out of the logits' shape and dtype, the last dimension contiguous; the logits
     *     themselves, or memory apart from them
     * @return this
     */
    public TokenLogprobsBackward gradLogits(Tensor out) {
        call.set(TokenLogprobsBackwardOperand.GRAD_LOGITS, out);
        return this;
    }

    /**
     * Writes the gradient over the logits.
     *
     * @return this
     */
    public TokenLogprobsBackward inPlace() {
        return gradLogits(call.get(TokenLogprobsBackwardOperand.LOGITS));
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
