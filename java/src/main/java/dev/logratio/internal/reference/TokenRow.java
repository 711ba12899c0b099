package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.load;
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
    private static final double INFINITY = Double.POSITIVE_INFINITY;

    private final int width; // of the row, with the columns that take no part
    private final int[] columns; // of the numbers below, in ascending order
    private final double[] raw;
    private final double[] z;
    private final double[] slope; // dz / d raw
    private final boolean undefined;
    private final int top;
    private final double logSum;

    /** Reads the row that starts at an offset, in elements. */
    TokenRow(StridedTensor logits, long start, TokenOptions options) {
        this(logits, start, KeptColumns.all(logits, options), options);
    }

    /** Reads some columns of that row. */
    private TokenRow(StridedTensor logits, long start, int[] columns, TokenOptions options) {
        width = Math.toIntExact(logits.size(logits.rank() - 1));
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

    /** The log of the probability that some columns leave, -inf where they leave none. */
    double tail(int[] labels) {
        double held = 0;
        for (int label : labels) {
            held += Math.exp(logProb(label));
        }
        if (!(held >= .5)) {
            return held == 0 ? 0 : Math.log1p(-held);
        }
        boolean[] isLabel = new boolean[z.length];
        for (int label : labels) {
            isLabel[label] = true;
        }
        double largest = Double.NEGATIVE_INFINITY;
        for (int k = 0; k < z.length; k++) {
            largest = isLabel[k] ? largest : Math.max(largest, z[k]);
        }
        double sum = 0;
        for (int k = 0; k < z.length && largest > Double.NEGATIVE_INFINITY; k++) {
            sum += isLabel[k] ? 0 : Math.exp(z[k] - largest);
        }
        return sum == 0 ? Double.NEGATIVE_INFINITY : (largest - z[top]) + Math.log(sum) - logSum;
    }

    /** The gradient of {@code upstream * log-prob(label)} with respect to the raw logits. */
    double[] gradientOfLogProb(int label, double upstream) {
        double[] logProbs = new double[z.length];
        Arrays.setAll(logProbs, this::logProb);
        double[] upstreams = {upstream};
        return gradient(logProbs, new int[] {label}, new Upstream(upstreams, 0, 0, 0), 0, 0);
    }

    /** Upstream gradients: of each label's log-prob, and of the row's figures. */
    record Upstream(double[] logps, double entropy, double lse, double tail) {
        boolean isZero() {
            return Arrays.stream(logps).allMatch(g -> g == 0)
                    && entropy == 0
                    && lse == 0
                    && tail == 0;
        }
    }

    /**
     * The gradient with respect to the raw logits, given the row's log-sum-exp, entropy and tail.
     *
     * @param labels the labels' places among the row's columns; none if its label is outside
     * @param lseEpsilon the spacing next to 1 of the type that lse was rounded to; where it left
     *     too few digits for the row's probabilities, or for what the likeliest label's is short of
     *     1, the row's own log-sum-exp takes its place
     * @param tailEpsilon likewise of the tail
     */
    double[] gradient(
            int[] labels,
            Upstream upstream,
            double lse,
            double lseEpsilon,
            double entropy,
            double tail,
            double tailEpsilon) {
        double error = Math.abs(lse) * lseEpsilon;
        double highest = Arrays.stream(labels).mapToDouble(k -> z[k]).max().orElse(-INFINITY);
        boolean holds = !(error > ENOUGH || (lse - highest) * ENOUGH < error);
        boolean tailHolds = Math.abs(tail) * tailEpsilon <= ENOUGH;
        double[] logProbs = new double[z.length];
        Arrays.setAll(logProbs, k -> holds ? z[k] - lse : logProb(k));
        double ofTail = upstream.tail == 0 ? 0 : tailHolds ? tail : tail(labels);
        return gradient(logProbs, labels, upstream, entropy, ofTail);
    }

    private double[] gradient(
            double[] logProbs, int[] labels, Upstream upstream, double entropy, double tail) {
        boolean usesTail = upstream.tail != 0 && tail != Double.NEGATIVE_INFINITY;
        int[] place = new int[z.length]; // among the labels, from 1
        for (int i = 0; i < labels.length; i++) {
            place[labels[i]] = i + 1;
        }
        double all = Arrays.stream(upstream.logps).sum();
        double[] gradient = new double[width];
        for (int k = 0; k < z.length; k++) {
            boolean isLabel = place[k] > 0;
            double probability = Math.exp(logProbs[k]);
            double share = usesTail && !isLabel ? Math.exp(logProbs[k] - tail) : 0;
            if (probability == 0
                    && share == 0
                    && (!isLabel || raw[k] == Double.NEGATIVE_INFINITY)) {
                continue; // no gradient, whatever is upstream
            }
            double ofZ =
                    isLabel
                            ? ofLabel(upstream.logps, place[k] - 1, logProbs[k])
                            : Functions.product(all, -probability);
            double ofEntropy =
                    probability == 0 || upstream.entropy == 0
                            ? 0
                            : -probability * (logProbs[k] + entropy);
            ofZ += upstream.entropy * ofEntropy + Functions.product(upstream.lse, probability);
            if (usesTail) {
                double ofTail = isLabel ? -probability : -share * Math.expm1(tail);
                ofZ += Functions.product(upstream.tail, ofTail);
            }
            gradient[columns[k]] = ofZ * slope[k];
        }
        return gradient;
    }

    /** The gradient by a label's z: that of its own log-prob, and of the others'. */
    private static double ofLabel(double[] upstream, int label, double logProb) {
        double others = 0;
        for (int i = 0; i < upstream.length; i++) {
            others += i == label ? 0 : upstream[i];
        }
        return Functions.product(upstream[label], -Math.expm1(logProb))
                - Functions.product(others, Math.exp(logProb));
    }

    // ---- The operations ----

    /** How many labels a row has. */
    private static int perRow(StridedTensor logits, StridedTensor labels) {
        return labels.rank() < logits.rank() ? 1 : Math.toIntExact(labels.size(labels.rank() - 1));
    }

    /** {@code token_logprobs}. */
    static void forward(Call call) {
        StridedTensor logits = call.get(TokenLogprobsOperand.LOGITS);
        StridedTensor labels = call.get(TokenLogprobsOperand.LABELS);
        TokenOptions options = call.option(TokenOptions.class);
        StridedTensor starts = rowStarts(logits);
        StridedTensor offsets = call.get(TokenLogprobsOperand.KEPT_OFFSETS);
        StridedTensor ids = call.get(TokenLogprobsOperand.KEPT_IDS);
        int perRow = perRow(logits, labels);
        long outside = 0;
        for (long n = 0; n < labels.elementCount() / perRow; n++) {
            int[] columns = KeptColumns.of(logits, offsets, ids, n, options);
            TokenRow row = new TokenRow(logits, starts.offsetOf(n), columns, options);
            RowLabels ofRow = RowLabels.of(labels, n, perRow, options, columns);
            outside += ofRow.outside();
            for (int i = 0; i < perRow; i++) {
                double logp = ofRow.isIgnored(i) ? 0 : row.logProbOrNone(ofRow.place(i));
                store(call.get(TokenLogprobsOperand.LOGP), n * perRow + i, logp);
            }
            for (TokenLogprobsOperand output : TokenLogprobsOperand.values()) {
                boolean isOfRow =
                        output != TokenLogprobsOperand.LOGP
                                && output != TokenLogprobsOperand.OUTSIDE;
                if (output.declaration().isOutput() && isOfRow && call.has(output)) {
                    store(call.get(output), n, row.figure(output, ofRow));
                }
            }
        }
        store(call.get(TokenLogprobsOperand.OUTSIDE), 0, outside);
    }

    private double logProbOrNone(int place) {
        return place < 0 && !undefined ? -INFINITY : logProb(place);
    }

    private double figure(TokenLogprobsOperand output, RowLabels labels) {
        return switch (output) {
            case LSE -> lse();
            case LSE2 -> undefined ? Double.NaN : 2 * z[top] + Math.log1p(sumOfOthers(2));
            case ENTROPY -> entropy();
            case ARGMAX -> columns[argmax()];
            case MEAN_LOGIT -> meanZ();
            case TAIL -> undefined ? Double.NaN : tail(labels.places());
            case LOGITS, LABELS, LOGP, KEPT_OFFSETS, KEPT_IDS, OUTSIDE ->
                    throw new AssertionError(output);
        };
    }

    /** {@code token_logprobs_backward}. */
    static void backward(Call call) {
        StridedTensor logits = call.get(TokenLogprobsBackwardOperand.LOGITS);
        StridedTensor labels = call.get(TokenLogprobsBackwardOperand.LABELS);
        StridedTensor lse = call.get(TokenLogprobsBackwardOperand.LSE);
        StridedTensor tail = call.get(TokenLogprobsBackwardOperand.TAIL);
        StridedTensor target = call.get(TokenLogprobsBackwardOperand.GRAD_LOGITS);
        TokenOptions options = call.option(TokenOptions.class);
        StridedTensor starts = rowStarts(logits);
        StridedTensor targetStarts = rowStarts(target);
        StridedTensor offsets = call.get(TokenLogprobsBackwardOperand.KEPT_OFFSETS);
        StridedTensor ids = call.get(TokenLogprobsBackwardOperand.KEPT_IDS);
        int perRow = perRow(logits, labels);
        for (long n = 0; n < labels.elementCount() / perRow; n++) {
            int[] columns = KeptColumns.of(logits, offsets, ids, n, options);
            RowLabels ofRow = RowLabels.of(labels, n, perRow, options, columns);
            Upstream upstream = upstream(call, ofRow, n * perRow, n);
            double[] gradient = new double[Math.toIntExact(logits.size(logits.rank() - 1))];
            if (!ofRow.areIgnored() && !upstream.isZero()) {
                gradient =
                        new TokenRow(logits, starts.offsetOf(n), columns, options)
                                .gradient(
                                        ofRow.places(),
                                        upstream,
                                        load(lse, n, 0),
                                        Floats.epsilon(lse.dtype()),
                                        load(call.get(TokenLogprobsBackwardOperand.ENTROPY), n, 0),
                                        load(tail, n, 0),
                                        tail == null ? 0 : Floats.epsilon(tail.dtype()));
            }
            storeRow(target, targetStarts.offsetOf(n), gradient);
        }
    }

    private static Upstream upstream(Call call, RowLabels labels, long first, long row) {
        StridedTensor logps = call.get(TokenLogprobsBackwardOperand.GRAD_LOGP);
        return new Upstream(
                labels.ofColumns().mapToDouble(i -> load(logps, first + i, 0)).toArray(),
                load(call.get(TokenLogprobsBackwardOperand.GRAD_ENTROPY), row, 0),
                load(call.get(TokenLogprobsBackwardOperand.GRAD_LSE), row, 0),
                load(call.get(TokenLogprobsBackwardOperand.GRAD_TAIL), row, 0));
    }
}
