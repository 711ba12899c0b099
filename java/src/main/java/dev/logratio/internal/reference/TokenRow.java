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
 * One row of logits in float64, and what follows from it. With {@code z} the logits after {@link
 * TokenOptions}, every log-prob is {@code (z - max) - log1p(rest)}, {@code rest} being the sum of
 * {@code exp(z - max)} over all but the largest: no large numbers cancel, not even where one
 * probability is close to 1.
 */
final class TokenRow {
    private static final double ENOUGH = 0x1p-16; // error of a probability, relative

    private final int columns; // with those of the padding
    private final double[] raw;
    private final double[] z;
    private final double[] slope; // dz / d raw
    private final boolean undefined;
    private final int top;
    private final double logSum;

    /** Reads the row that starts at an offset, in elements. */
    TokenRow(StridedTensor logits, long start, TokenOptions options) {
        columns = Math.toIntExact(logits.size(logits.rank() - 1));
        int vocabulary = options.vocab() == 0 ? columns : Math.toIntExact(options.vocab());
        raw = new double[vocabulary];
        z = new double[vocabulary];
        slope = new double[vocabulary];
        boolean anyDefined = false;
        boolean anyBroken = false;
        int largest = 0;
        for (int k = 0; k < vocabulary; k++) {
            raw[k] = logits.loadDouble(start + k);
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
        return gradient(logProbs, label, upstream, 0, 0, 0);
    }

    /**
     * The gradient of {@code gradLogp * log-prob(label) + gradEntropy * entropy + gradLse * lse}
     * with respect to the raw logits, given the row's log-sum-exp and entropy.
     *
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
            double gradEntropy,
            double gradLse) {
        double error = Math.abs(lse) * lseEpsilon;
        boolean holds = !(error > ENOUGH || (lse - z[label]) * ENOUGH < error);
        double[] logProbs = new double[z.length];
        Arrays.setAll(logProbs, k -> holds ? z[k] - lse : logProb(k));
        return gradient(logProbs, label, gradLogp, entropy, gradEntropy, gradLse);
    }

    private double[] gradient(
            double[] logProbs,
            int label,
            double gradLogp,
            double entropy,
            double gradEntropy,
            double gradLse) {
        double[] gradient = new double[columns];
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
            double ofZ =
                    Functions.product(gradLogp, ofLogProb)
                            + gradEntropy * ofEntropy
                            + Functions.product(gradLse, probability);
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
        for (long n = 0; n < labels.elementCount(); n++) {
            TokenRow row = new TokenRow(logits, starts.offsetOf(n), options);
            long label = loadLong(labels, n);
            boolean ignored = label == options.ignoreIndex();
            for (TokenLogprobsOperand output : TokenLogprobsOperand.values()) {
                if (output.declaration().isOutput() && call.has(output)) {
                    store(call.get(output), n, row.figure(output, ignored, (int) label));
                }
            }
        }
    }

    private double figure(TokenLogprobsOperand output, boolean ignored, int label) {
        return switch (output) {
            case LOGP -> ignored ? 0 : logProb(label);
            case LSE -> lse();
            case LSE2 -> undefined ? Double.NaN : 2 * z[top] + Math.log1p(sumOfOthers(2));
            case ENTROPY -> entropy();
            case ARGMAX -> argmax();
            case MEAN_LOGIT -> meanZ();
            case LOGITS, LABELS -> throw new AssertionError(output);
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
        for (long n = 0; n < labels.elementCount(); n++) {
            long label = loadLong(labels, n);
            double gradLogp = load(call.get(TokenLogprobsBackwardOperand.GRAD_LOGP), n, 0);
            double gradEntropy = load(call.get(TokenLogprobsBackwardOperand.GRAD_ENTROPY), n, 0);
            double gradLse = load(call.get(TokenLogprobsBackwardOperand.GRAD_LSE), n, 0);
            double[] gradient = new double[Math.toIntExact(logits.size(logits.rank() - 1))];
            boolean anyUpstream = gradLogp != 0 || gradEntropy != 0 || gradLse != 0;
            if (label != options.ignoreIndex() && anyUpstream) {
                TokenRow row = new TokenRow(logits, starts.offsetOf(n), options);
                double ofLse = load(lse, n, 0);
                double ofEntropy = load(entropy, n, 0);
                gradient =
                        row.gradient(
                                (int) label,
                                ofLse,
                                epsilon,
                                ofEntropy,
                                gradLogp,
                                gradEntropy,
                                gradLse);
            }
            storeRow(target, targetStarts.offsetOf(n), gradient);
        }
    }
}
