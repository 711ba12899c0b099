package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.SequenceLogpsOperand;
import dev.logratio.internal.check.Signature;

import java.util.Objects;

/**
 * Token log-probs to one log-prob per sequence, and the gradient back.
 *
 * <p>Inputs: {@code tokenLogps} [B,T] float; {@code mask} [B,T]. B must be even when the tail
 * weight is below 1. A value at a token that does not count is never read, so that NaN there is
 * harmless.
 *
 * <p>With {@link #cuSeqlens} sequences are packed: of any length, one after the other, without
 * padding. Tensors [B,T] are then [N], N tokens of all sequences, and results are those of the
 * padded call, to the bit.
 *
 * @since 0.1.0
 */
public final class SequenceLogps {
    private final Call call = new Call(Signature.SEQUENCE_LOGPS, SequenceOptions.DEFAULT);

    private SequenceLogps(Tensor tokenLogps, Tensor mask) {
        call.set(SequenceLogpsOperand.TOKEN_LOGPS, tokenLogps);
        call.set(SequenceLogpsOperand.MASK, mask);
    }

    /**
     * Describes a call.
     *
     * @param tokenLogps [B,T], or [N] if packed, float; may be {@code null} where {@link #logps} is
     *     not wanted
     * @param mask [B,T], or [N] if packed: BOOL, U8, I64 or I32 (non-zero counts 1), or F32
     *     (weights, finite and &ge; 0)
     * @return the operation, with no output wanted yet
     */
    public static SequenceLogps of(Tensor tokenLogps, Tensor mask) {
        return new SequenceLogps(tokenLogps, mask);
    }

    /**
     * Sets the reduction, tail weight and alignment.
     *
     * @param options default {@link SequenceOptions#DEFAULT}
     * @return this
     */
    public SequenceLogps sequenceOptions(SequenceOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets where packed sequences end. Columns of {@link SequenceOptions.Align#ABSOLUTE} count from
     * each sequence's start. Numbers that do not rise from 0 to N are an error; on a device, where
     * they are not looked at before, each is counted as a bad value and every result is NaN.
     *
     * @param cuSeqlens [B+1] int: 0, then where each sequence ends among the N tokens, N last; a
     *     sequence without a token repeats a number
     * @return this
     */
    public SequenceLogps cuSeqlens(Tensor cuSeqlens) {
        call.set(SequenceLogpsOperand.CU_SEQLENS, cuSeqlens);
        return this;
    }

    /**
     * Sets the upstream gradient of every log-prob of a sequence; needs {@link #gradTokenLogps}.
     *
     * @param gradLogps [B] float
     * @return this
     */
    public SequenceLogps gradLogps(Tensor gradLogps) {
        call.set(SequenceLogpsOperand.GRAD_LOGPS, gradLogps);
        return this;
    }

    /**
     * Sets the tensor that receives the log-prob of every sequence.
     *
     * @param out [B] float
     * @return this
     */
    public SequenceLogps logps(Tensor out) {
        call.set(SequenceLogpsOperand.LOGPS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the sum of the token weights of every sequence.
     *
     * @param out [B] float
     * @return this
     */
    public SequenceLogps counts(Tensor out) {
        call.set(SequenceLogpsOperand.COUNTS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the gradient of every token, 0 where it does not count; needs
     * {@link #gradLogps}.
     *
     * @param out [B,T], or [N] if packed, float
     * @return this
     */
    public SequenceLogps gradTokenLogps(Tensor out) {
        call.set(SequenceLogpsOperand.GRAD_TOKEN_LOGPS, out);
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
