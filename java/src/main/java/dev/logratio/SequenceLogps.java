package dev.logratio;

import java.util.Objects;

/**
 * Token log-probs to one log-prob a sequence, and the gradient back.
 *
 * <p>Inputs: {@code tokenLogps} [B,T] float; {@code mask} [B,T]. B must be even when the tail
 * weight is below 1. A value at a token that does not count is never read, so that NaN there is
 * harmless.
 */
public final class SequenceLogps {
    final Tensor tokenLogps;
    final Tensor mask;
    SequenceOptions options = SequenceOptions.DEFAULT;
    Tensor gradLogps;
    Tensor logps;
    Tensor counts;
    Tensor gradTokenLogps;

    private SequenceLogps(Tensor tokenLogps, Tensor mask) {
        this.tokenLogps = tokenLogps;
        this.mask = mask;
    }

    /**
     * Describes a call.
     *
     * @param tokenLogps [B,T] float; may be {@code null} where {@link #logps} is not wanted
     * @param mask [B,T]: BOOL, U8 or F32
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
    public SequenceLogps options(SequenceOptions options) {
        this.options = Objects.requireNonNull(options, "options");
        return this;
    }

    /**
     * Gives the upstream gradient of every sequence; needs {@link #gradTokenLogps}.
     *
     * @param gradLogps [B] float
     * @return this
     */
    public SequenceLogps gradLogps(Tensor gradLogps) {
        this.gradLogps = gradLogps;
        return this;
    }

    /**
     * Wants the log-prob of every sequence.
     *
     * @param out [B] float
     * @return this
     */
    public SequenceLogps logps(Tensor out) {
        this.logps = out;
        return this;
    }

    /**
     * Wants the sum of the token weights of every sequence.
     *
     * @param out [B] float
     * @return this
     */
    public SequenceLogps counts(Tensor out) {
        this.counts = out;
        return this;
    }

    /**
     * Wants the gradient of every token, 0 where it does not count; needs {@link #gradLogps}.
     *
     * @param out [B,T] float
     * @return this
     */
    public SequenceLogps gradTokenLogps(Tensor out) {
        this.gradTokenLogps = out;
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
            Checks.sequenceLogps(this, arguments);
            backend.sequenceLogps(this);
        }
    }
}
