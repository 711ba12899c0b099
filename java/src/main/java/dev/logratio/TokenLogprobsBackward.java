package dev.logratio;

import java.util.Objects;

/**
 * The gradient of {@link TokenLogprobs}: {@code grad_logits = gradLogp * d logp/d logits +
 * gradEntropy * d entropy/d logits}, with one read and one write of a row.
 *
 * <p>Inputs: {@code logits} and {@code labels} as in the forward; {@code lse}, and {@code entropy}
 * where {@code gradEntropy} is given, float of the labels' shape, as the forward gave them. At
 * least one upstream gradient. A row that is ignored gets 0, as does one whose upstream gradients
 * are all 0, and a logit of -inf.
 */
public final class TokenLogprobsBackward {
    final Tensor logits;
    final Tensor labels;
    final Tensor lse;
    TokenOptions options = TokenOptions.DEFAULT;
    Tensor entropy;
    Tensor gradLogp;
    Tensor gradEntropy;
    Tensor gradLogits;

    private TokenLogprobsBackward(Tensor logits, Tensor labels, Tensor lse) {
        this.logits = logits;
        this.labels = labels;
        this.lse = lse;
    }

    /**
     * Describes a call.
     *
     * @param logits [N,V] or [B,T,V], F32, BF16 or F16
     * @param labels [N] or [B,T], int
     * @param lse float, of the labels' shape: the forward's log-sum-exp (F64 loses nothing; where
     *     the type leaves too few digits for a row's probabilities, or for what the label's is
     *     short of 1, the row is read once more and summed again)
     * @return the operation
     */
    public static TokenLogprobsBackward of(Tensor logits, Tensor labels, Tensor lse) {
        return new TokenLogprobsBackward(logits, labels, lse);
    }

    /**
     * Sets the temperature, softcap and ignore index; the same as in the forward.
     *
     * @param options default {@link TokenOptions#DEFAULT}
     * @return this
     */
    public TokenLogprobsBackward options(TokenOptions options) {
        this.options = Objects.requireNonNull(options, "options");
        return this;
    }

    /**
     * Gives the forward's entropy, which {@link #gradEntropy} needs.
     *
     * @param entropy float, of the labels' shape
     * @return this
     */
    public TokenLogprobsBackward entropy(Tensor entropy) {
        this.entropy = entropy;
        return this;
    }

    /**
     * Gives the upstream gradient of every log-prob.
     *
     * @param gradLogp float, of the labels' shape
     * @return this
     */
    public TokenLogprobsBackward gradLogp(Tensor gradLogp) {
        this.gradLogp = gradLogp;
        return this;
    }

    /**
     * Gives the upstream gradient of every entropy.
     *
     * @param gradEntropy float, of the labels' shape
     * @return this
     */
    public TokenLogprobsBackward gradEntropy(Tensor gradEntropy) {
        this.gradEntropy = gradEntropy;
        return this;
    }

    /**
     * Sets where the gradient goes.
     *
     * @param out of the logits' shape and dtype, the last dimension contiguous; the logits
     *     themselves, or memory apart from them
     * @return this
     */
    public TokenLogprobsBackward gradLogits(Tensor out) {
        this.gradLogits = out;
        return this;
    }

    /**
     * Writes the gradient over the logits.
     *
     * @return this
     */
    public TokenLogprobsBackward inPlace() {
        return gradLogits(logits);
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
            Checks.tokenLogprobsBackward(this, arguments, backend.takesDoubleLogits());
            backend.tokenLogprobsBackward(this);
        }
    }
}
