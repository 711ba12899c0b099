package dev.logratio;

import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.loss.Loss;

import java.util.Arrays;

/** Plain float64 loops, written from the definitions for reading, not for speed. */
final class ReferenceBackend extends Backend {
    static final ReferenceBackend INSTANCE = new ReferenceBackend();

    private ReferenceBackend() {
        super("reference");
    }

    @Override
    String detail() {
        return "float64 in Java";
    }

    @Override
    boolean takesDoubleLogits() {
        return true;
    }

    @Override
    void tokenLogprobs(TokenLogprobs call) {
        Tensor rowStarts = rowStarts(call.logits);
        for (long n = 0; n < call.labels.elementCount(); n++) {
            ReferenceRow row = new ReferenceRow(call.logits, rowStarts.offsetOf(n), call.options);
            long label = call.labels.loadLong(call.labels.offsetOf(n));
            boolean ignored = label == call.options.ignoreIndex();
            store(call.logp, n, ignored ? 0 : row.logProb((int) label));
            store(call.lse, n, row.lse());
            if (call.lse2 != null) {
                store(call.lse2, n, row.lse2());
            }
            if (call.entropy != null) {
                store(call.entropy, n, row.entropy());
            }
            if (call.argmax != null) {
                call.argmax.storeLong(call.argmax.offsetOf(n), row.argmax());
            }
            store(call.meanLogit, n, row.meanZ());
        }
    }

    @Override
    void tokenLogprobsBackward(TokenLogprobsBackward call) {
        Tensor rowStarts = rowStarts(call.logits);
        Tensor targetStarts = rowStarts(call.gradLogits);
        for (long n = 0; n < call.labels.elementCount(); n++) {
            long label = call.labels.loadLong(call.labels.offsetOf(n));
            double gradLogp = load(call.gradLogp, n, 0);
            double gradEntropy = load(call.gradEntropy, n, 0);
            double[] gradient;
            if (label == call.options.ignoreIndex() || gradLogp == 0 && gradEntropy == 0) {
                gradient = new double[Math.toIntExact(call.logits.size(call.logits.rank() - 1))];
            } else {
                ReferenceRow row =
                        new ReferenceRow(call.logits, rowStarts.offsetOf(n), call.options);
                double epsilon = Floats.epsilon(call.lse.dtype());
                gradient =
                        row.gradient(
                                (int) label,
                                load(call.lse, n, 0),
                                epsilon,
                                load(call.entropy, n, 0),
                                gradLogp,
                                gradEntropy);
            }
            storeRow(call.gradLogits, targetStarts.offsetOf(n), gradient);
        }
    }

    @Override
    void sequenceLogps(SequenceLogps call) {
        Reduction reduction = call.options.reduction();
        double[][] weights = ReferenceSequences.weights(call.mask);
        ReferenceSequences.applyTailWeight(weights, call.options);
        for (int b = 0; b < weights.length; b++) {
            if (call.logps != null) {
                store(
                        call.logps,
                        b,
                        ReferenceSequences.reduce(call.tokenLogps, b, weights[b], reduction));
            }
            store(call.counts, b, ReferenceSequences.sum(weights[b]));
            for (int t = 0; call.gradTokenLogps != null && t < weights[b].length; t++) {
                double upstream =
                        load(call.gradLogps, b, 0)
                                / ReferenceSequences.divisor(weights[b], reduction);
                call.gradTokenLogps.storeDouble(
                        ReferenceSequences.offset(call.gradTokenLogps, b, t),
                        weights[b][t] > 0 ? upstream * weights[b][t] : 0);
            }
        }
    }

    @Override
    void pairLoss(PairLoss call) {
        Loss.Paired loss = call.withTensors();
        int count = Math.toIntExact(call.policyChosen.elementCount());
        ReferencePairs pairs =
                new ReferencePairs(
                        doubles(call.policyChosen, count, 0),
                        doubles(call.policyRejected, count, 0),
                        doubles(call.referenceChosen, count, 0),
                        doubles(call.referenceRejected, count, 0),
                        doubles(call.chosenCounts, count, 1),
                        doubles(call.rejectedCounts, count, 1),
                        false);
        int losses = loss.lossesPerPair() * count;
        ReferenceGradient result =
                ReferenceLoss.evaluate(loss, pairs, doubles(call.gradLoss, losses, 1.0 / losses));
        storeAll(call.losses, result.losses);
        storeAll(call.chosenRewards, scaled(pairs.chosenRatios(), loss.beta()));
        storeAll(call.rejectedRewards, scaled(pairs.rejectedRatios(), loss.beta()));
        storeAll(call.gradPolicyChosen, result.policyChosen);
        storeAll(call.gradPolicyRejected, result.policyRejected);
        storeAll(call.gradReferenceChosen, result.referenceChosen);
        storeAll(call.gradReferenceRejected, result.referenceRejected);
        store(call.gradBeta, 0, result.beta);
        store(call.gradBetaKl, 0, result.betaKl);
        store(call.gradBetaMix, 0, result.betaMix);
        store(call.gradTau, 0, result.tau);
    }

    @Override
    void unpairedLoss(UnpairedLoss call) {
        int count = Math.toIntExact(call.policyLogps.elementCount());
        double kl = 0;
        if (call.klPolicyLogps != null) {
            int mismatched = Math.toIntExact(call.klPolicyLogps.elementCount());
            double[] ratios =
                    ReferencePairs.differences(
                            doubles(call.klPolicyLogps, mismatched, 0),
                            doubles(call.klReferenceLogps, mismatched, 0));
            kl = Math.max(0, ReferenceMath.mean(ratios));
        }
        store(call.kl, 0, kl);
        for (int i = 0; i < count; i++) {
            double ratio = load(call.policyLogps, i, 0) - load(call.referenceLogps, i, 0);
            boolean chosen = call.chosen.loadDouble(call.chosen.offsetOf(i)) != 0;
            ReferenceMath.Slope result = ReferenceExamples.at(call.loss, chosen, ratio, kl);
            double gradient =
                    ReferenceMath.product(load(call.gradLoss, i, 1.0 / count), result.slope());
            store(call.losses, i, result.value());
            store(call.rewards, i, call.loss.beta() * ratio);
            store(call.gradPolicyLogps, i, gradient);
            store(call.gradReferenceLogps, i, -gradient);
        }
    }

    @Override
    StepMetrics preferenceStep(PreferenceStep call) {
        return new ReferenceStep(call).run();
    }

    @Override
    void divergence(Divergence call) {
        ReferenceDivergence.run(call);
    }

    @Override
    void scoringRule(ScoringRule call) {
        ReferenceScoringRule.run(call);
    }

    /** A view with the labels' shape whose elements are the rows' first logits. */
    static Tensor rowStarts(Tensor logits) {
        return logits.select(logits.rank() - 1, 0);
    }

    /** Element {@code number} in row-major order, or what stands for it if the tensor is absent. */
    static double load(Tensor tensor, long number, double absent) {
        return tensor == null ? absent : tensor.loadDouble(tensor.offsetOf(number));
    }

    /** All elements of a vector, or what stands for each if it is absent. */
    static double[] doubles(Tensor vector, int length, double absent) {
        double[] values = new double[length];
        Arrays.setAll(values, i -> load(vector, i, absent));
        return values;
    }

    private static void storeAll(Tensor vector, double[] values) {
        for (int i = 0; i < values.length; i++) {
            store(vector, i, values[i]);
        }
    }

    private static double[] scaled(double[] values, double factor) {
        return Arrays.stream(values).map(value -> factor * value).toArray();
    }

    /** Sets element {@code number} in row-major order, if the tensor is wanted. */
    static void store(Tensor tensor, long number, double value) {
        if (tensor != null) {
            tensor.storeDouble(tensor.offsetOf(number), value);
        }
    }

    static void storeRow(Tensor tensor, long start, double[] row) {
        for (int k = 0; k < row.length; k++) {
            tensor.storeDouble(start + k, row[k]);
        }
    }
}
