package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.load;
import static dev.logratio.internal.reference.Numbers.store;

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
    private final Reduction reduction;
    private final Spans spans;
    private final StepRows rows;
    private final int examples;

    /** Weights by the mask and the labels, of each example: a token of weight above 0 counts. */
    private final double[][] weights;

    private final Side chosen = new Side();
    private final Side rejected = new Side();
    private double lossSum;

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
        reduction = call.option(SequenceOptions.class).reduction();
        StridedTensor labels = call.get(UnpairedStepOperand.LABELS);
        spans = Spans.of(labels, call.get(UnpairedStepOperand.CU_SEQLENS));
        rows =
                new StepRows(
                        call.option(TokenOptions.class),
                        call.get(UnpairedStepOperand.LOGITS),
                        labels,
                        call.get(UnpairedStepOperand.GRAD_LOGITS),
                        spans);
        examples = spans.sequences();
        StridedTensor mask = call.get(UnpairedStepOperand.MASK);
        weights = mask == null ? spans.ones() : Sequence.weights(mask, spans);
        rows.leaveOutIgnored(weights);
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
                rows.gradNorm(),
                rows.nonfinite());
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
        rows.countNonfinite(value);
        if (rows.wantsGradient()) {
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
                TokenRow row = rows.row(b, t);
                logps[t] = row.logProb((int) rows.label(b, t));
                side.tokens++;
                side.entropy += row.entropy();
                side.logits += row.meanRaw();
                side.rightTokens += row.argmax() == rows.label(b, t) ? 1 : 0;
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
            rows.writeGradient(b, t, weights[b][t] > 0 ? ofToken * weights[b][t] : 0);
        }
    }

    private static double mean(double sum, long count) {
        return count == 0 ? 0 : sum / count;
    }
}
