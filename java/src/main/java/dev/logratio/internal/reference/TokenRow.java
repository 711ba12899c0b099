package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.load;
import static dev.logratio.internal.reference.Numbers.loadLong;
import static dev.logratio.internal.reference.Numbers.rowStarts;
import static dev.logratio.internal.reference.Numbers.store;
import static dev.logratio.internal.reference.Numbers.storeRow;

import dev.logratio.TokenOptions;
import dev.logratio.internal.Functions;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.TokenLogprobsBackwardOperand;
import dev.logratio.internal.check.TokenLogprobsOperand;
import dev.logratio.internal.tensor.Floats;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.Arrays;

/**
 * One row of logits in float64, or what is kept of it, and what follows. With {@code z} the logits
 * after {@link TokenOptions}, every log-prob is {@code (z - max) - log1p(rest)}, {@code rest} being
 * the sum of {@code exp(z - max)} over all but the largest: no large numbers cancel, not even where
 * one probability is close to 1.
 */
final class TokenRow {
    private static final double ENOUGH = 0x1p-16; // error of a probability, relative

    private final int[] columns; // of the numbers below, in ascending order
    private final double[] raw;
    private final double[] z;
    private final double[] slope; // dz / d raw
    private final boolean undefined;
    private final int top;
    private final double logSum;

    /** Reads the row that starts at an offset, in elements. */
    TokenRow(StridedTensor logits, long start, TokenOptions options) {
        this(logits, start, KeptColumns.all(logits), options);
    }

    /** Reads some columns of that row. */
    private TokenRow(StridedTensor logits, long start, int[] columns, TokenOptions options) {
        this.columns = columns;
        raw = new double[columns.length];
        z = new double[columns.length];
        slope = new double[columns.length];
        boolean anyDefined = false;
        boolean anyBroken = false;
        int largest = 0;
        for (int k = 0; k < columns.length; k++) {
            raw[k] = logits.loadDouble(start + columns[k]);
            anyDefined |= raw[k] != Double.NEGATIVE_INFINITY;
            anyBroken |= Double.isNaN(raw[k]) || raw[k] == Double.POSITIVE_INFINITY;
            transform(k, options);
            if (z[k] > z[largest]) {
                largest = k;
            }
        }
        undefined = anyBroken || !anyDefined;
        top = largest;
        logSum = undefined ? Double.NaN : Math.log1p(sumOfOthers(1));
    }

    private void transform(int k, TokenOptions options) {
        double softcap = options.softcap();
        if (raw[k] == Double.NEGATIVE_INFINITY) {
            z[k] = raw[k];
        } else if (softcap == 0) {
            z[k] = raw[k] / options.temperature();
            slope[k] = 1 / options.temperature();
        } else {
            double cosh = Math.cosh(raw[k] / softcap);
            z[k] = softcap * Math.tanh(raw[k] / softcap) / options.temperature();
            slope[k] = 1 / (cosh * cosh) / options.temperature();
        }
    }

    /** Sum of exp(scale * (z - max)) over all but the largest. */
    private double sumOfOthers(int scale) {
        double sum = 0;
        for (int k = 0; k < z.length; k++) {
            if (k != top) {
                sum += Math.exp(scale * (z[k] - z[top]));
            }
        }
        return sum;
    }

    double logProb(int k) {
        return undefined ? Double.NaN : (z[k] - z[top]) - logSum;
    }

    double lse() {
        return z[top] + logSum;
    }

    double entropy() {
        double entropy = undefined ? Double.NaN : 0;
        for (int k = 0; k < z.length; k++) {
            double probability = Math.exp(logProb(k));
            if (probability > 0) {
                entropy -= probability * logProb(k);
            }
        }
        return entropy;
    }

    /** The log of the sum of p^2. */
    double logCollision() {
        return undefined ? Double.NaN : Math.log1p(sumOfOthers(2)) - 2 * logSum;
    }

    /** The argmax of the raw logits: the lowest index on ties, a NaN counting as the largest. */
    int argmax() {
        int best = 0;
        for (int k = 1; k < raw.length; k++) {
            if (raw[k] > raw[best] || Double.isNaN(raw[k]) && !Double.isNaN(raw[best])) {
                best = k;
            }
        }
        return best;
    }

    double meanZ() {
        return undefined ? Double.NaN : mean(z);
    }

    double meanRaw() {
        return undefined ? Double.NaN : mean(raw);
    }

    /** Over the columns that are not -inf. */
    private static double mean(double[] values) {
        return Arrays.stream(values)
                .filter(value -> value > Double.NEGATIVE_INFINITY)
                .average()
                .orElseThrow();
    }

    /** The gradient of {@code upstream * log-prob(label)} with respect to the raw logits. */
    double[] gradientOfLogProb(int label, double upstream) {
        double[] logProbs = new double[z.length];
        Arrays.setAll(logProbs, this::logProb);
        return gradient(logProbs, label, upstream, 0, 0);
    }

    /**
     * The gradient of {@code gradLogp * log-prob(label) + gradEntropy * entropy} with respect to
     * the raw logits, given the row's log-sum-exp and entropy.
     *
     * @param label the label's place among the kept columns; -1 if it is none of them, in which
     *     case gradLogp is 0
     * @param lseEpsilon the spacing next to 1 of the type that lse was rounded to; where it left
     *     too few digits for the row's probabilities, or for what the label's is short of 1, the
     *     row's own log-sum-exp takes its place
     */
    double[] gradient(
            int label,
            double lse,
            double lseEpsilon,
            double entropy,
            double gradLogp,
            double gradEntropy) {
        double error = Math.abs(lse) * lseEpsilon;
        boolean holds = !(error > ENOUGH || label >= 0 && (lse - z[label]) * ENOUGH < error);
        double[] logProbs = new double[z.length];
        Arrays.setAll(logProbs, k -> holds ? z[k] - lse : logProb(k));
        return gradient(logProbs, label, gradLogp, entropy, gradEntropy);
    }

    private double[] gradient(
            double[] logProbs, int label, double gradLogp, double entropy, double gradEntropy) {
        double[] gradient = new double[z.length];
        for (int k = 0; k < z.length; k++) {
            double probability = Math.exp(logProbs[k]);
            if (probability == 0 && (k != label || raw[k] == Double.NEGATIVE_INFINITY)) {
                continue; // no gradient, whatever is upstream
            }
            double ofLogProb = k == label ? -Math.expm1(logProbs[k]) : -probability;
            double ofEntropy =
                    probability == 0 || gradEntropy == 0
                            ? 0
                            : -probability * (logProbs[k] + entropy);
            double ofZ = Functions.product(gradLogp, ofLogProb) + gradEntropy * ofEntropy;
            gradient[k] = ofZ * slope[k];
        }
        return gradient;
    }

    // ---- The operations ----

    /** {@code token_logprobs}. */
    static void forward(Call call) {
        StridedTensor logits = call.get(TokenLogprobsOperand.LOGITS);
        StridedTensor labels = call.get(TokenLogprobsOperand.LABELS);
        TokenOptions options = call.option(TokenOptions.class);
        StridedTensor starts = rowStarts(logits);
        StridedTensor offsets = call.get(TokenLogprobsOperand.KEPT_OFFSETS);
        StridedTensor ids = call.get(TokenLogprobsOperand.KEPT_IDS);
        long outside = 0;
        for (long n = 0; n < labels.elementCount(); n++) {
            int[] columns = KeptColumns.of(logits, offsets, ids, n);
            TokenRow row = new TokenRow(logits, starts.offsetOf(n), columns, options);
            long label = loadLong(labels, n);
            boolean ignored = label == options.ignoreIndex();
            int place = KeptColumns.place(columns, label);
            outside += !ignored && place < 0 ? 1 : 0;
            for (TokenLogprobsOperand output : TokenLogprobsOperand.values()) {
                boolean ofRow = output != TokenLogprobsOperand.OUTSIDE;
                if (output.declaration().isOutput() && ofRow && call.has(output)) {
                    store(call.get(output), n, row.figure(output, ignored, place));
                }
            }
        }
        store(call.get(TokenLogprobsOperand.OUTSIDE), 0, outside);
    }

    private double logProbOrNone(int place) {
        return place < 0 && !undefined ? Double.NEGATIVE_INFINITY : logProb(place);
    }

    private double figure(TokenLogprobsOperand output, boolean ignored, int place) {
        return switch (output) {
            case LOGP -> ignored ? 0 : logProbOrNone(place);
            case LSE -> lse();
            case LSE2 -> undefined ? Double.NaN : 2 * z[top] + Math.log1p(sumOfOthers(2));
            case ENTROPY -> entropy();
            case ARGMAX -> columns[argmax()];
            case MEAN_LOGIT -> meanZ();
            case LOGITS, LABELS, KEPT_OFFSETS, KEPT_IDS, OUTSIDE ->
                    throw new AssertionError(output);
        };
    }

    /** {@code token_logprobs_backward}. */
    static void backward(Call call) {
        StridedTensor logits = call.get(TokenLogprobsBackwardOperand.LOGITS);
        StridedTensor labels = call.get(TokenLogprobsBackwardOperand.LABELS);
        StridedTensor lse = call.get(TokenLogprobsBackwardOperand.LSE);
        StridedTensor entropy = call.get(TokenLogprobsBackwardOperand.ENTROPY);
        StridedTensor target = call.get(TokenLogprobsBackwardOperand.GRAD_LOGITS);
        TokenOptions options = call.option(TokenOptions.class);
        double epsilon = Floats.epsilon(lse.dtype());
        StridedTensor starts = rowStarts(logits);
        StridedTensor targetStarts = rowStarts(target);
        StridedTensor offsets = call.get(TokenLogprobsBackwardOperand.KEPT_OFFSETS);
        StridedTensor ids = call.get(TokenLogprobsBackwardOperand.KEPT_IDS);
        for (long n = 0; n < labels.elementCount(); n++) {
            long label = loadLong(labels, n);
            int[] columns = KeptColumns.of(logits, offsets, ids, n);
            int place = KeptColumns.place(columns, label);
            double gradLogp =
                    place < 0 ? 0 : load(call.get(TokenLogprobsBackwardOperand.GRAD_LOGP), n, 0);
            double gradEntropy = load(call.get(TokenLogprobsBackwardOperand.GRAD_ENTROPY), n, 0);
            double[] gradient = new double[Math.toIntExact(logits.size(logits.rank() - 1))];
            if (label != options.ignoreIndex() && (gradLogp != 0 || gradEntropy != 0)) {
                TokenRow row = new TokenRow(logits, starts.offsetOf(n), columns, options);
                double ofLse = load(lse, n, 0);
                double ofEntropy = load(entropy, n, 0);
                double[] ofKept =
                        row.gradient(place, ofLse, epsilon, ofEntropy, gradLogp, gradEntropy);
                for (int k = 0; k < columns.length; k++) {
                    gradient[columns[k]] = ofKept[k];
                }
            }
            storeRow(target, targetStarts.offsetOf(n), gradient);
        }
    }
}
