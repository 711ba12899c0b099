package dev.logratio;

import dev.logratio.SequenceOptions.Reduction;

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
                ReferenceRow row = new ReferenceRow(call.logits, rowStarts.offsetOf(n), call.options);
                gradient = row.gradient((int) label, load(call.lse, n, 0), load(call.entropy, n, 0), gradLogp, gradEntropy);
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
                store(call.logps, b, ReferenceSequences.reduce(call.tokenLogps, b, weights[b], reduction));
            }
            store(call.counts, b, ReferenceSequences.sum(weights[b]));
            for (int t = 0; call.gradTokenLogps != null && t < weights[b].length; t++) {
                double upstream = load(call.gradLogps, b, 0) / ReferenceSequences.divisor(weights[b], reduction);
                call.gradTokenLogps.storeDouble(
                        ReferenceSequences.offset(call.gradTokenLogps, b, t), weights[b][t] > 0 ? upstream * weights[b][t] : 0);
            }
        }
    }

    @Override
    void pairLoss(PairLoss call) {
        long pairs = call.policyChosen.elementCount();
        double beta = 0;
        double betaKl = 0;
        double betaMix = 0;
        double tau = 0;
        for (long i = 0; i < pairs; i++) {
            double chosen = load(call.policyChosen, i, 0) - load(call.referenceChosen, i, 0);
            double rejected = load(call.policyRejected, i, 0) - load(call.referenceRejected, i, 0);
            ReferenceLoss.Pair pair = ReferenceLoss.evaluate(call.loss, chosen, rejected);
            double upstream = load(call.gradLoss, i, 1.0 / pairs);
            store(call.losses, i, pair.value());
            store(call.chosenRewards, i, call.loss.rewardBeta() * chosen);
            store(call.rejectedRewards, i, call.loss.rewardBeta() * rejected);
            store(call.gradPolicyChosen, i, ReferenceLoss.product(upstream, pair.chosen()));
            store(call.gradPolicyRejected, i, ReferenceLoss.product(upstream, pair.rejected()));
            store(call.gradReferenceChosen, i, -ReferenceLoss.product(upstream, pair.chosen()));
            store(call.gradReferenceRejected, i, -ReferenceLoss.product(upstream, pair.rejected()));
            beta += ReferenceLoss.product(upstream, pair.options().beta());
            betaKl += ReferenceLoss.product(upstream, pair.options().betaKl());
            betaMix += ReferenceLoss.product(upstream, pair.options().betaMix());
            tau += ReferenceLoss.product(upstream, pair.options().tau());
        }
        store(call.gradBeta, 0, beta);
        store(call.gradBetaKl, 0, betaKl);
        store(call.gradBetaMix, 0, betaMix);
        store(call.gradTau, 0, tau);
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
