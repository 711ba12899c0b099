package dev.logratio;

import static dev.logratio.ReferenceBackend.load;
import static dev.logratio.ReferenceBackend.rowStarts;
import static dev.logratio.ReferenceBackend.store;
import static dev.logratio.ReferenceBackend.storeRow;

import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sft;
import dev.logratio.loss.WeightedLoss;

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

    /** Sums over the terms, [P]. */
    private final double[] losses;

    /** Gradients of the mean loss, [2P] and of every counted chosen token. */
    private final double[] gradLogps;

    private double gradChosenTokens;

    // Sums over the tokens.
    private double chosenLogps;
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
        losses = new double[pairs];
        gradLogps = new double[sequences];
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
        double[] referenceLogps = new double[sequences];
        for (int b = 0; b < sequences; b++) {
            logps[b] =
                    ReferenceSequences.reduce(
                            tokenLogps(b), weights[b], call.sequenceOptions.reduction());
            referenceLogps[b] = referenceLogp(b);
            store(call.logps, b, logps[b]);
            store(call.counts, b, ReferenceSequences.sum(weights[b]));
        }
        ReferencePairs batch =
                new ReferencePairs(
                        chosen(logps),
                        rejected(logps),
                        chosen(referenceLogps),
                        rejected(referenceLogps),
                        chosen(counts()),
                        rejected(counts()),
                        call.sequenceOptions.reduction() == Reduction.MEAN);
        Rewards rewards = null;
        for (WeightedLoss term : call.terms) {
            switch (term.loss()) {
                case Loss.Paired paired -> {
                    ReferencePairs pairs =
                            paired instanceof Loss.ReferenceFree ? withoutReference(batch) : batch;
                    addPaired(paired, term.weight(), pairs);
                    rewards = rewards == null ? Rewards.of(paired.beta(), pairs) : rewards;
                }
                case Sft sft -> addSft(term.weight());
            }
        }
        for (int i = 0; i < pairs; i++) {
            store(call.losses, i, losses[i]);
            countNonfinite(losses[i]);
        }
        if (call.gradLogits != null) {
            backward();
        }
        rewards = rewards == null ? Rewards.NONE : rewards;
        return new StepMetrics(
                ReferenceMath.mean(losses),
                rewards.chosen,
                rewards.rejected,
                rewards.chosen - rewards.rejected,
                rewards.accuracy,
                mean(entropy, chosenTokens + rejectedTokens),
                mean(rightTokens, chosenTokens),
                mean(chosenLogits, chosenTokens),
                mean(rejectedLogits, rejectedTokens),
                Math.sqrt(squaredNorm),
                nonfinite);
    }

    /** Means over the pairs, and the share of pairs whose chosen reward is larger. */
    private record Rewards(double chosen, double rejected, double accuracy) {
        static final Rewards NONE = new Rewards(0, 0, 0);

        static Rewards of(double beta, ReferencePairs pairs) {
            double[] chosen = pairs.chosenRatios();
            double[] rejected = pairs.rejectedRatios();
            double[] right = new double[pairs.size()];
            Arrays.setAll(right, i -> chosen[i] > rejected[i] ? 1 : 0);
            return new Rewards(
                    beta * ReferenceMath.mean(chosen),
                    beta * ReferenceMath.mean(rejected),
                    ReferenceMath.mean(right));
        }
    }

    private static ReferencePairs withoutReference(ReferencePairs batch) {
        double[] zeros = new double[batch.size()];
        return new ReferencePairs(
                batch.policyChosen(),
                batch.policyRejected(),
                zeros,
                zeros,
                batch.chosenCounts(),
                batch.rejectedCounts(),
                batch.perToken());
    }

    /** Adds a loss; of one with several values a pair their mean. */
    private void addPaired(Loss.Paired loss, double weight, ReferencePairs batch) {
        int values = loss.lossesPerPair();
        double[] ofPair = new double[pairs];
        Arrays.setAll(
                ofPair,
                i -> weight / values * (call.wpo ? wpoWeight(i) * wpoWeight(i + pairs) : 1));
        double[] upstream = new double[values * pairs];
        Arrays.setAll(upstream, i -> ofPair[i % pairs] / pairs);
        ReferenceGradient result = ReferenceLoss.evaluate(loss, batch, upstream);
        for (int i = 0; i < values * pairs; i++) {
            losses[i % pairs] += ReferenceMath.product(ofPair[i % pairs], result.losses[i]);
        }
        for (int i = 0; i < pairs; i++) {
            gradLogps[i] += result.policyChosen[i];
            gradLogps[i + pairs] += result.policyRejected[i];
        }
    }

    /** The mean of -logp over every counted chosen token, the same for each pair. */
    private void addSft(double weight) {
        double loss = mean(-chosenLogps, chosenTokens);
        for (int i = 0; i < pairs; i++) {
            losses[i] += ReferenceMath.product(weight, loss);
        }
        gradChosenTokens -= mean(weight, chosenTokens);
    }

    /**
     * WPO's factor of a sequence: how likely its tokens are beside samples of the policy, on
     * average.
     */
    private double wpoWeight(int b) {
        double sum = 0;
        long count = 0;
        for (int t = 0; t < tokens; t++) {
            if (counted[b][t] > 0) {
                ReferenceRow row = row(b, t);
                sum += row.logProb((int) label(b, t)) - row.logCollision();
                count++;
            }
        }
        return Math.exp(mean(sum, count));
    }

    private double[] counts() {
        return Arrays.stream(weights).mapToDouble(ReferenceSequences::sum).toArray();
    }

    private double[] chosen(double[] values) {
        return Arrays.copyOf(values, pairs);
    }

    private double[] rejected(double[] values) {
        return Arrays.copyOfRange(values, pairs, sequences);
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
                chosenLogps += logps[t];
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
            return ReferenceSequences.reduce(
                    call.referenceTokenLogps, b, weights[b], call.sequenceOptions.reduction());
        }
        return load(call.referenceLogps, b, 0);
    }

    private void backward() {
        Tensor targetStarts = rowStarts(call.gradLogits);
        int vocabulary = Math.toIntExact(call.logits.size(2));
        for (int b = 0; b < sequences; b++) {
            double upstream =
                    gradLogps[b]
                            / ReferenceSequences.divisor(
                                    weights[b], call.sequenceOptions.reduction());
            for (int t = 0; t < tokens; t++) {
                double coefficient = weights[b][t] > 0 ? upstream * weights[b][t] : 0;
                coefficient += b < pairs && counted[b][t] > 0 ? gradChosenTokens : 0;
                double[] gradient =
                        coefficient == 0
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
        return new ReferenceRow(
                call.logits, starts.offsetOf((long) b * tokens + t), call.tokenOptions);
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
