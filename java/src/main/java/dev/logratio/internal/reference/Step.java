package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.load;
import static dev.logratio.internal.reference.Numbers.rowStarts;
import static dev.logratio.internal.reference.Numbers.store;
import static dev.logratio.internal.reference.Numbers.storeRow;

import dev.logratio.SequenceOptions;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.StepMetrics;
import dev.logratio.TokenOptions;
import dev.logratio.internal.Functions;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.PreferenceStepOperand;
import dev.logratio.internal.check.StepOptions;
import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sft;
import dev.logratio.loss.WeightedLoss;

import java.util.Arrays;

/** One preference step: rows, sequences, pairs, and back. */
final class Step {
    private final Call call;
    private final StepOptions options;
    private final TokenOptions tokenOptions;
    private final SequenceOptions sequenceOptions;
    private final StridedTensor logits;
    private final StridedTensor labels;
    private final StridedTensor gradLogits;
    private final Spans spans;
    private final int sequences;
    private final int pairs;
    private final StridedTensor starts;

    /** Weights by the mask and the labels, of each sequence: a token of weight above 0 counts. */
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

    Step(Call call) {
        this.call = call;
        options = call.option(StepOptions.class);
        tokenOptions = call.option(TokenOptions.class);
        sequenceOptions = call.option(SequenceOptions.class);
        logits = call.get(PreferenceStepOperand.LOGITS);
        labels = call.get(PreferenceStepOperand.LABELS);
        gradLogits = call.get(PreferenceStepOperand.GRAD_LOGITS);
        spans = Spans.of(labels, call.get(PreferenceStepOperand.CU_SEQLENS));
        sequences = spans.sequences();
        pairs = sequences / 2;
        losses = new double[pairs];
        gradLogps = new double[sequences];
        starts = rowStarts(logits);
        StridedTensor mask = call.get(PreferenceStepOperand.MASK);
        counted = mask == null ? spans.ones() : Sequence.weights(mask, spans);
        for (int b = 0; b < sequences; b++) {
            for (int t = 0; t < counted[b].length; t++) {
                counted[b][t] = label(b, t) == tokenOptions.ignoreIndex() ? 0 : counted[b][t];
            }
        }
        weights = new double[sequences][];
        for (int b = 0; b < sequences; b++) {
            weights[b] = counted[b].clone();
        }
        Sequence.applyTailWeight(weights, sequenceOptions);
    }

    StepMetrics run() {
        double[] logps = new double[sequences];
        double[] referenceLogps = new double[sequences];
        for (int b = 0; b < sequences; b++) {
            logps[b] = Sequence.reduce(tokenLogps(b), weights[b], sequenceOptions.reduction());
            referenceLogps[b] = referenceLogp(b);
            store(call.get(PreferenceStepOperand.LOGPS), b, logps[b]);
            store(call.get(PreferenceStepOperand.COUNTS), b, Sequence.sum(weights[b]));
        }
        Pairs batch =
                new Pairs(
                        chosen(logps),
                        rejected(logps),
                        chosen(referenceLogps),
                        rejected(referenceLogps),
                        chosen(counts()),
                        rejected(counts()),
                        sequenceOptions.reduction() == Reduction.MEAN);
        Rewards rewards = null;
        for (WeightedLoss term : options.losses()) {
            switch (term.loss()) {
                case Loss.Paired paired -> {
                    Pairs pairs =
                            paired instanceof Loss.ReferenceFree ? withoutReference(batch) : batch;
                    addPaired(paired, term.weight(), pairs);
                    rewards = rewards == null ? Rewards.of(paired.beta(), pairs) : rewards;
                }
                case Sft sft -> addSft(term.weight());
            }
        }
        for (int i = 0; i < pairs; i++) {
            store(call.get(PreferenceStepOperand.LOSSES), i, losses[i]);
            countNonfinite(losses[i]);
        }
        if (gradLogits != null) {
            backward();
        }
        rewards = rewards == null ? Rewards.NONE : rewards;
        return new StepMetrics(
                Functions.mean(losses),
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

        static Rewards of(double beta, Pairs pairs) {
            double[] chosen = pairs.chosenRatios();
            double[] rejected = pairs.rejectedRatios();
            double[] right = new double[pairs.size()];
            Arrays.setAll(right, i -> chosen[i] > rejected[i] ? 1 : 0);
            return new Rewards(
                    beta * Functions.mean(chosen),
                    beta * Functions.mean(rejected),
                    Functions.mean(right));
        }
    }

    private static Pairs withoutReference(Pairs batch) {
        double[] zeros = new double[batch.size()];
        return new Pairs(
                batch.policyChosen(),
                batch.policyRejected(),
                zeros,
                zeros,
                batch.chosenCounts(),
                batch.rejectedCounts(),
                batch.perToken());
    }

    /** Adds a loss; one with several values per pair counts with their mean. */
    private void addPaired(Loss.Paired loss, double weight, Pairs batch) {
        int values = loss.lossesPerPair();
        double[] ofPair = new double[pairs];
        Arrays.setAll(
                ofPair,
                i -> weight / values * (options.wpo() ? wpoWeight(i) * wpoWeight(i + pairs) : 1));
        double[] upstream = new double[values * pairs];
        Arrays.setAll(upstream, i -> ofPair[i % pairs] / pairs);
        PairGradients result = PairLosses.evaluate(loss, batch, upstream);
        for (int i = 0; i < values * pairs; i++) {
            losses[i % pairs] += Functions.product(ofPair[i % pairs], result.losses[i]);
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
            losses[i] += Functions.product(weight, loss);
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
        for (int t = 0; t < spans.length(b); t++) {
            if (counted[b][t] > 0) {
                TokenRow row = row(b, t);
                sum += row.logProb((int) label(b, t)) - row.logCollision();
                count++;
            }
        }
        return Math.exp(mean(sum, count));
    }

    private double[] counts() {
        return Arrays.stream(weights).mapToDouble(Sequence::sum).toArray();
    }

    private double[] chosen(double[] values) {
        return Arrays.copyOf(values, pairs);
    }

    private double[] rejected(double[] values) {
        return Arrays.copyOfRange(values, pairs, sequences);
    }

    /** The log-probs of a sequence's counted tokens; adds to the metrics of tokens. */
    private double[] tokenLogps(int b) {
        double[] logps = new double[spans.length(b)];
        for (int t = 0; t < spans.length(b); t++) {
            if (!(counted[b][t] > 0)) {
                continue;
            }
            TokenRow row = row(b, t);
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
        StridedTensor ofTokens = call.get(PreferenceStepOperand.REFERENCE_TOKEN_LOGPS);
        return ofTokens == null
                ? load(call.get(PreferenceStepOperand.REFERENCE_LOGPS), b, 0)
                : Sequence.reduce(ofTokens, spans, b, weights[b], sequenceOptions.reduction());
    }

    private void backward() {
        StridedTensor targetStarts = rowStarts(gradLogits);
        int vocabulary = Math.toIntExact(logits.size(logits.rank() - 1));
        for (int b = 0; b < sequences; b++) {
            double upstream =
                    gradLogps[b] / Sequence.divisor(weights[b], sequenceOptions.reduction());
            for (int t = 0; t < spans.length(b); t++) {
                double coefficient = weights[b][t] > 0 ? upstream * weights[b][t] : 0;
                coefficient += b < pairs && counted[b][t] > 0 ? gradChosenTokens : 0;
                double[] gradient =
                        coefficient == 0
                                ? new double[vocabulary]
                                : row(b, t).gradientOfLogProb((int) label(b, t), coefficient);
                long start = targetStarts.offsetOf(spans.number(b, t));
                storeRow(gradLogits, start, gradient);
                for (int k = 0; k < vocabulary; k++) {
                    squaredNorm += gradient[k] * gradient[k];
                    countNonfinite(gradLogits.loadDouble(start + k));
                }
            }
        }
    }

    private TokenRow row(int b, int t) {
        return new TokenRow(logits, starts.offsetOf(spans.number(b, t)), tokenOptions);
    }

    private long label(int b, int t) {
        return labels.loadLong(labels.offsetOf(spans.number(b, t)));
    }

    private void countNonfinite(double value) {
        nonfinite += Double.isFinite(value) ? 0 : 1;
    }

    private static double mean(double sum, long count) {
        return count == 0 ? 0 : sum / count;
    }
}
