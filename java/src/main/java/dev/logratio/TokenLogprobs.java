package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.TokenLogprobsOperand;

import java.util.Objects;

/**
 * Per-token log-probs and what else one read of the logits gives.
 *
 * <p>Inputs: {@code logits} [N,V] or [B,T,V] (F32, BF16 or F16; the reference also takes F64), the
 * last dimension contiguous, the others of any stride; {@code labels} [N] or [B,T] (int), each in
 * [0,vocab) or the ignore index. Outputs, each optional, have the labels' shape; with {@code z} the
 * logits after {@link TokenOptions}, see the setters.
 *
 * <p>A row may have K labels, 1 &le; K &le; min(vocab,1024), such as a teacher's top-k: {@code
 * labels} is [N,K] or [B,T,K] then, and so is {@code logp}, while all else is a number per row.
 * Labels of a row differ, but the ignore index may repeat: an entry that is ignored gets logp 0,
 * and a row is ignored if all of its entries are. {@link #tail} is the log of the probability that
 * they leave. With K = 1 results are those of labels [N] to the bit.
 *
 * <p>A row whose label is the ignore index gets logp 0; its other outputs are still computed. A
 * logit of -inf has probability 0. A row whose raw logits are all -inf, or hold +inf or NaN, gives
 * NaN in that row only. The result of a row does not depend on the rows around it.
 *
 * <p>With {@link #keptOffsets} and {@link #keptIds} the softmax of each row is over some of its
 * columns, and the log-probs are those of a policy that samples with top-k or top-p. All columns
 * kept give the same bits as none named.
 *
 * {@snippet file="Examples.java" region="tokens"}
 *
 * @since 0.1.0
 */
public final class TokenLogprobs {
    private final Call call = new Call(Signature.TOKEN_LOGPROBS, TokenOptions.DEFAULT);

    private TokenLogprobs(Tensor logits, Tensor labels) {
        call.set(TokenLogprobsOperand.LOGITS, logits);
        call.set(TokenLogprobsOperand.LABELS, labels);
    }

    /**
     * Describes a call.
     *
     * @param logits [N,V] or [B,T,V], F32, BF16 or F16
     * @param labels [N] or [B,T], int; or [N,K] or [B,T,K], K labels per row
     * @return the operation, with no output wanted yet
     */
    public static TokenLogprobs of(Tensor logits, Tensor labels) {
        return new TokenLogprobs(logits, labels);
    }

    /**
     * Sets the temperature, softcap, ignore index and vocabulary.
     *
     * @param options default {@link TokenOptions#DEFAULT}
     * @return this
     */
    public TokenLogprobs tokenOptions(TokenOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets the tensor that receives the labels' log-probs, {@code log softmax(z)[label]}.
     *
     * @param out float, of the labels' shape
     * @return this
     */
    public TokenLogprobs logp(Tensor out) {
        call.set(TokenLogprobsOperand.LOGP, out);
        return this;
    }

    /**
     * Sets the tensor that receives the log-sum-exp of {@code z}, which {@link
     * TokenLogprobsBackward} needs; as F64 it loses nothing on the way.
     *
     * @param out float, a number per row
     * @return this
     */
    public TokenLogprobs lse(Tensor out) {
        call.set(TokenLogprobsOperand.LSE, out);
        return this;
    }

    /**
     * Sets the tensor that receives the log-sum-exp of {@code 2z}; with {@link #lse} it gives the
     * sum of the squared probabilities ({@link RowFigures#sumOfSquares}).
     *
     * @param out float, a number per row
     * @return this
     */
    public TokenLogprobs lse2(Tensor out) {
        call.set(TokenLogprobsOperand.LSE2, out);
        return this;
    }

    /**
     * Sets the tensor that receives the entropy of {@code softmax(z)}, in nats.
     *
     * @param out float, a number per row
     * @return this
     */
    public TokenLogprobs entropy(Tensor out) {
        call.set(TokenLogprobsOperand.ENTROPY, out);
        return this;
    }

    /**
     * Sets the tensor that receives the index of the largest raw logit: the lowest on ties, a NaN
     * counting as the largest.
     *
     * @param out int, a number per row
     * @return this
     */
    public TokenLogprobs argmax(Tensor out) {
        call.set(TokenLogprobsOperand.ARGMAX, out);
        return this;
    }

    /**
     * Sets the tensor that receives the mean of {@code z} over the columns where it is not -inf.
     *
     * @param out float, a number per row
     * @return this
     */
    public TokenLogprobs meanLogit(Tensor out) {
        call.set(TokenLogprobsOperand.MEAN_LOGIT, out);
        return this;
    }

    /**
     * Sets the tensor that receives, with K labels per row, the log of the probability that a row's
     * labels leave: {@code log(1 - sum_k p_k)}, with relative accuracy where it is near 0 and where
     * it is far below; -inf where they leave none. The columns of labels that are ignored belong to
     * it.
     *
     * @param out float, a number per row: [N] or [B,T]
     * @return this
     */
    public TokenLogprobs tail(Tensor out) {
        call.set(TokenLogprobsOperand.TAIL, out);
        return this;
    }

    /**
     * Sets where each row's kept columns begin and end among {@link #keptIds}. Every figure of a
     * row is then of the softmax over its kept columns alone, as a sampler with top-k or top-p drew
     * from them, and nothing else of the row is read. A label that is not kept has logp -inf. Each
     * row has one label then.
     *
     * @param offsets int [N+1], N = B*T for logits [B,T,V]: row {@code r} keeps the ids from {@code
     *     offsets[r]} to before {@code offsets[r+1]}, at least one; the first is 0, the last M;
     *     default all columns
     * @return this
     */
    public TokenLogprobs keptOffsets(Tensor offsets) {
        call.set(TokenLogprobsOperand.KEPT_OFFSETS, offsets);
        return this;
    }

    /**
     * Sets the columns that rows keep, with {@link #keptOffsets} and one label per row.
     *
     * @param ids int [M]: columns in [0,V), or in [0,vocab) where that option is given, ascending
     *     within a row; default all columns
     * @return this
     */
    public TokenLogprobs keptIds(Tensor ids) {
        call.set(TokenLogprobsOperand.KEPT_IDS, ids);
        return this;
    }

    /**
     * Sets the tensor that receives the number of rows whose label is not among their kept columns;
     * ignored rows do not count.
     *
     * @param out I64 [1]
     * @return this
     */
    public TokenLogprobs outside(Tensor out) {
        call.set(TokenLogprobsOperand.OUTSIDE, out);
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
