package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.rowStarts;
import static dev.logratio.internal.reference.Numbers.storeRow;

import dev.logratio.TokenOptions;
import dev.logratio.internal.tensor.StridedTensor;

/**
 * The rows of a step's tokens, token t of sequence b: their labels, and the gradient that is
 * written back, with what the metrics tell of it.
 */
final class StepRows {
    private final TokenOptions options;
    private final StridedTensor logits;
    private final StridedTensor labels;
    private final StridedTensor gradLogits;
    private final Spans spans;
    private final StridedTensor starts;
    private final StridedTensor gradStarts;
    private double squaredNorm;
    private long nonfinite;

    /** {@code gradLogits} is null where it is not wanted. */
    StepRows(
            TokenOptions options,
            StridedTensor logits,
            StridedTensor labels,
            StridedTensor gradLogits,
            Spans spans) {
        this.options = options;
        this.logits = logits;
        this.labels = labels;
        this.gradLogits = gradLogits;
        this.spans = spans;
        starts = rowStarts(logits);
        gradStarts = gradLogits == null ? null : rowStarts(gradLogits);
    }

    boolean wantsGradient() {
        return gradLogits != null;
    }

    TokenRow row(int b, int t) {
        return new TokenRow(logits, starts.offsetOf(spans.number(b, t)), options);
    }

    long label(int b, int t) {
        return labels.loadLong(labels.offsetOf(spans.number(b, t)));
    }

    /** Weights of tokens, of the first sequences, become 0 where the label is ignored. */
    void leaveOutIgnored(double[][] weights) {
        for (int b = 0; b < weights.length; b++) {
            for (int t = 0; t < weights[b].length; t++) {
                boolean ignored = weights[b][t] > 0 && label(b, t) == options.ignoreIndex();
                weights[b][t] = ignored ? 0 : weights[b][t];
            }
        }
    }

    /** Writes the gradient of a coefficient times the label's log-prob. */
    void writeGradient(int b, int t, double coefficient) {
        double[] gradient =
                coefficient == 0
                        ? new double[Math.toIntExact(logits.size(logits.rank() - 1))]
                        : row(b, t).gradientOfLogProb((int) label(b, t), coefficient);
        long start = gradStarts.offsetOf(spans.number(b, t));
        storeRow(gradLogits, start, gradient);
        for (int k = 0; k < gradient.length; k++) {
            squaredNorm += gradient[k] * gradient[k];
            countNonfinite(gradLogits.loadDouble(start + k));
        }
    }

    void countNonfinite(double value) {
        nonfinite += Double.isFinite(value) ? 0 : 1;
    }

    /** The norm of what was written, before rounding. */
    double gradNorm() {
        return Math.sqrt(squaredNorm);
    }

    /** How many values, of losses and of what was written, are not finite. */
    long nonfinite() {
        return nonfinite;
    }
}
