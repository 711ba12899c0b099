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
import dev.logratio.internal.Functions.Slope;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.UnpairedStepOperand;
import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.Loss;

/** {@code unpaired_step}: example after example, each from its rows to its loss and back. */
final class ExampleStep {
    private final Call call;
    private final Loss.Unpaired loss;
    private final TokenOptions tokenOptions;
    private final Reduction reduction;
    private final StridedTensor logits;
    private final StridedTensor labels;
    private final StridedTensor starts;
    private final StridedTensor gradLogits;
    private final StridedTensor gradStarts;
    private final int examples;
    private final Spans spans;

    /** Weights by the mask and the labels, of each example: a token of weight above 0 counts. */
    private final double[][] weights;

    private final Side chosen = new Side();
    private final Side rejected = new Side();
    private double lossSum;
    private double squaredNorm;
    private long nonfinite;

    /** Sums over the examples of one side and their counted tokens. */
    private static final class Side {
        private long examples;
        private long tokens;
        private double rewards;
        private double entropy;
        private double logits;
        private long rightTokens;
    }

    ExampleStep(Call call) {
        this.call = call;
        loss = call.option(Loss.Unpaired.class);
        tokenOptions = call.option(TokenOptions.class);
        reduction = call.option(SequenceOptions.class).reduction();
        logits = call.get(UnpairedStepOperand.LOGITS);
        labels = call.get(UnpairedStepOperand.LABELS);
        starts = rowStarts(logits);
        gradLogits = call.get(UnpairedStepOperand.GRAD_LOGITS);
        gradStarts = gradLogits == null ? null : rowStarts(gradLogits);
        spans = Spans.of(labels, call.get(UnpairedStepOperand.CU_SEQLENS));
        examples = spans.sequences();
        StridedTensor mask = call.get(UnpairedStepOperand.MASK);
        weights = mask == null ? spans.ones() : Sequence.weights(mask, spans);
        for (int b = 0; b < examples; b++) {
            for (int t = 0; t < spans.length(b); t++) {
                boolean ignored = weights[b][t] > 0 && label(b, t) == tokenOptions.ignoreIndex();
                weights[b][t] = ignored ? 0 : weights[b][t];
            }
        }
    }

    StepMetrics run() {
        double kl =
                UnpairedLosses.kl(
                        call.get(UnpairedStepOperand.KL_POLICY_LOGPS),
                        call.get(UnpairedStepOperand.KL_REFERENCE_LOGPS));
        store(call.get(UnpairedStepOperand.KL), 0, kl);
        for (int b = 0; b < examples; b++) {
            run(b, kl);
        }
        double chosenReward = mean(chosen.rewards, chosen.examples);
        double rejectedReward = mean(rejected.rewards, rejected.examples);
        return new StepMetrics(
                mean(lossSum, examples),
                chosenReward,
                rejectedReward,
                chosenReward - rejectedReward,
                0,
                mean(chosen.entropy + rejected.entropy, chosen.tokens + rejected.tokens),
                mean(chosen.rightTokens, chosen.tokens),
                mean(chosen.logits, chosen.tokens),
                mean(rejected.logits, rejected.tokens),
                Math.sqrt(squaredNorm),
                nonfinite);
    }

    private void run(int b, double kl) {
        boolean isChosen = load(call.get(UnpairedStepOperand.CHOSEN), b, 0) != 0;
        Side side = isChosen ? chosen : rejected;
        double logp = Sequence.reduce(tokenLogps(b, side), weights[b], reduction);
        double ratio = logp - referenceLogp(b);
        Slope result = UnpairedLosses.at(loss, isChosen, ratio, kl);
        double weight = load(call.get(UnpairedStepOperand.WEIGHTS), b, 1);
        double value = Functions.product(weight, result.value());
        double reward = loss.beta() * ratio;
        store(call.get(UnpairedStepOperand.LOGPS), b, logp);
        store(call.get(UnpairedStepOperand.COUNTS), b, Sequence.sum(weights[b]));
        store(call.get(UnpairedStepOperand.LOSSES), b, value);
        store(call.get(UnpairedStepOperand.REWARDS), b, reward);
        side.examples++;
        side.rewards += reward;
        lossSum += value;
        countNonfinite(value);
        if (gradLogits != null) {
            double gradLoss = load(call.get(UnpairedStepOperand.GRAD_LOSS), 0, 1);
            double upstream = Functions.product(gradLoss, weight / examples);
            backward(b, Functions.product(upstream, result.slope()));
        }
    }

    /** The log-probs of an example's counted tokens; adds to the metrics of tokens. */
    private double[] tokenLogps(int b, Side side) {
        double[] logps = new double[spans.length(b)];
        for (int t = 0; t < spans.length(b); t++) {
            if (weights[b][t] > 0) {
                TokenRow row = row(b, t);
                logps[t] = row.logProb((int) label(b, t));
                side.tokens++;
                side.entropy += row.entropy();
                side.logits += row.meanRaw();
                side.rightTokens += row.argmax() == label(b, t) ? 1 : 0;
            }
        }
        return logps;
    }

    private double referenceLogp(int b) {
        StridedTensor ofTokens = call.get(UnpairedStepOperand.REFERENCE_TOKEN_LOGPS);
        return ofTokens == null
                ? load(call.get(UnpairedStepOperand.REFERENCE_LOGPS), b, 0)
                : Sequence.reduce(ofTokens, spans, b, weights[b], reduction);
    }

    private void backward(int b, double gradLogp) {
        double ofToken = gradLogp / Sequence.divisor(weights[b], reduction);
        for (int t = 0; t < spans.length(b); t++) {
            double coefficient = weights[b][t] > 0 ? ofToken * weights[b][t] : 0;
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
