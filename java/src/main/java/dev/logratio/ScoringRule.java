package dev.logratio;

import java.util.Objects;

/**
 * Strictly proper scoring rules as token losses, with the gradient of the logits (Shao et al. 2024,
 * arXiv 2405.18906).
 *
 * <p>Inputs: {@code logits} [N,V] or [B,T,V] float with contiguous rows, {@code labels} int of
 * their shape without V. An ignored row has value 0 and gradient 0 and is not read. A logit of -inf
 * has probability 0 and gradient 0; where the mathematics is +inf, so is the value. A row that is
 * all -inf, or holds +inf or NaN, gives NaN in its own value and gradient only.
 */
public final class ScoringRule {
    final Tensor logits;
    final Tensor labels;
    ScoringRuleOptions options = ScoringRuleOptions.DEFAULT;
    Tensor gradLoss;
    Tensor values;
    Tensor loss;
    Tensor gradLogits;

    private ScoringRule(Tensor logits, Tensor labels) {
        this.logits = logits;
        this.labels = labels;
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
        this.options = Objects.requireNonNull(options, "options");
        return this;
    }

    /**
     * Gives the upstream gradient of every value.
     *
     * @param gradLoss float of the labels' shape; default 1 over the number of rows that are not
     *     ignored, the gradient of the loss
     * @return this
     */
    public ScoringRule gradLoss(Tensor gradLoss) {
        this.gradLoss = gradLoss;
        return this;
    }

    /**
     * Wants the loss of every row.
     *
     * @param out float of the labels' shape
     * @return this
     */
    public ScoringRule values(Tensor out) {
        this.values = out;
        return this;
    }

    /**
     * Wants the mean over the rows that are not ignored, 0 if there is none.
     *
     * @param out [1] float
     * @return this
     */
    public ScoringRule loss(Tensor out) {
        this.loss = out;
        return this;
    }

    /**
     * Wants the gradient of the logits.
     *
     * @param out of the logits' shape and dtype; it may be the logits themselves
     * @return this
     */
    public ScoringRule gradLogits(Tensor out) {
        this.gradLogits = out;
        return this;
    }

    /**
     * Writes the gradient over the logits.
     *
     * @return this
     */
    public ScoringRule inPlace() {
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
            RowChecks.scoringRule(this, arguments, backend.takesDoubleLogits());
            backend.scoringRule(this);
        }
    }

    /** The columns that take part. */
    long vocab() {
        return options.vocab() == 0 ? logits.size(logits.rank() - 1) : options.vocab();
    }
}
