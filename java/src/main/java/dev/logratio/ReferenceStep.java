package dev.logratio;

import static dev.logratio.ReferenceBackend.load;
import static dev.logratio.ReferenceBackend.rowStarts;
import static dev.logratio.ReferenceBackend.store;
import static dev.logratio.ReferenceBackend.storeRow;

import java.util.Arrays;

/** One preference step: rows, sequences, pairs, and back. */
final class ReferenceStep {
    private final PreferenceStep call;
    private final int sequences;
    private final int tokens;
    private final int pairs;
    private final Tensor starts;

    /** Weights by the mask and the labels, [2P][T]: a token of weight above 0 counts. */
    private final double[][] counted;

    /** The same after the tail weight. */
    private final double[][] weights;

    // Sums of the metrics.
    private double entropy;
    private double chosenLogits;
    private double rejectedLogits;
    private double rightTokens;
    private long chosenTokens;
    private long rejectedTokens;
    private double squaredNorm;
    private long nonfinite;

    ReferenceStep(PreferenceStep call) {
        this.call = call;
        sequences = Math.toIntExact(call.labels.size(0));
        tokens = Math.toIntExact(call.labels.size(1));
        pairs = sequences / 2;
        starts = rowStarts(call.logits);
        counted = call.mask == null ? ones() : ReferenceSequences.weights(call.mask);
        for (int b = 0; b < sequences; b++) {
            for (int t = 0; t < tokens; t++) {
                counted[b][t] = label(b, t) == call.tokenOptions.ignoreIndex() ? 0 : counted[b][t];
            }
        }
        weights = new double[sequences][];
        for (int b = 0; b < sequences; b++) {
            weights[b] = counted[b].clone();
        }
        ReferenceSequences.applyTailWeight(weights, call.sequenceOptions);
    }

    private double[][] ones() {
        double[][] ones = new double[sequences][tokens];
        for (double[] row : ones) {
            Arrays.fill(row, 1);
        }
        return ones;
    }

    StepMetrics run() {
        double[] logps = new double[sequences];
        for (int b = 0; b < sequences; b++) {
            logps[b] = ReferenceSequences.reduce(tokenLogps(b), weights[b], call.sequenceOptions.reduction());
            store(call.logps, b, logps[b]);
            store(call.counts, b, ReferenceSequences.sum(weights[b]));
        }
        double[] gradLogps = new double[sequences];
        double loss = 0;
        double chosenRewards = 0;
        double rejectedRewards = 0;
        double rightPairs = 0;
        for (int i = 0; i < pairs; i++) {
            double chosen = logps[i] - referenceLogp(i);
            double rejected = logps[i + pairs] - referenceLogp(i + pairs);
            ReferenceLoss.Pair pair = ReferenceLoss.evaluate(call.loss, chosen, rejected);
            store(call.losses, i, pair.value());
            countNonfinite(pair.value());
            gradLogps[i] = pair.chosen() / pairs;
            gradLogps[i + pairs] = pair.rejected() / pairs;
            loss += pair.value();
            chosenRewards += call.loss.rewardBeta() * chosen;
            rejectedRewards += call.loss.rewardBeta() * rejected;
            rightPairs += chosen > rejected ? 1 : 0;
        }
        if (call.gradLogits != null) {
            backward(gradLogps);
        }
        return new StepMetrics(
                mean(loss, pairs),
                mean(chosenRewards, pairs),
                mean(rejectedRewards, pairs),
                mean(chosenRewards - rejectedRewards, pairs),
                mean(rightPairs, pairs),
                mean(entropy, chosenTokens + rejectedTokens),
                mean(rightTokens, chosenTokens),
                mean(chosenLogits, chosenTokens),
                mean(rejectedLogits, rejectedTokens),
                Math.sqrt(squaredNorm),
                nonfinite);
    }

    /** The log-probs of a sequence's counted tokens; adds to the metrics of tokens. */
    private double[] tokenLogps(int b) {
        double[] logps = new double[tokens];
        for (int t = 0; t < tokens; t++) {
            if (!(counted[b][t] > 0)) {
                continue;
            }
            ReferenceRow row = row(b, t);
            logps[t] = row.logProb((int) label(b, t));
            entropy += row.entropy();
            if (b < pairs) {
                chosenTokens++;
                chosenLogits += row.meanRaw();
                rightTokens += row.argmax() == label(b, t) ? 1 : 0;
            } else {
                rejectedTokens++;
                rejectedLogits += row.meanRaw();
            }
        }
        return logps;
    }

    private double referenceLogp(int b) {
        if (call.referenceTokenLogps != null) {
            return ReferenceSequences.reduce(call.referenceTokenLogps, b, weights[b], call.sequenceOptions.reduction());
        }
        return load(call.referenceLogps, b, 0);
    }

    private void backward(double[] gradLogps) {
        Tensor targetStarts = rowStarts(call.gradLogits);
        int vocabulary = Math.toIntExact(call.logits.size(2));
        for (int b = 0; b < sequences; b++) {
            double upstream = gradLogps[b] / ReferenceSequences.divisor(weights[b], call.sequenceOptions.reduction());
            for (int t = 0; t < tokens; t++) {
                double coefficient = weights[b][t] > 0 ? upstream * weights[b][t] : 0;
                double[] gradient = coefficient == 0
                        ? new double[vocabulary]
                        : row(b, t).gradientOfLogProb((int) label(b, t), coefficient);
                long start = targetStarts.offsetOf((long) b * tokens + t);
                storeRow(call.gradLogits, start, gradient);
                for (int k = 0; k < vocabulary; k++) {
                    squaredNorm += gradient[k] * gradient[k];
                    countNonfinite(call.gradLogits.loadDouble(start + k));
                }
            }
        }
    }

    private ReferenceRow row(int b, int t) {
        return new ReferenceRow(call.logits, starts.offsetOf((long) b * tokens + t), call.tokenOptions);
    }

    private long label(int b, int t) {
        return call.labels.loadLong(ReferenceSequences.offset(call.labels, b, t));
    }

    private void countNonfinite(double value) {
        nonfinite += Double.isFinite(value) ? 0 : 1;
    }

    private static double mean(double sum, long count) {
        return count == 0 ? 0 : sum / count;
    }
}
