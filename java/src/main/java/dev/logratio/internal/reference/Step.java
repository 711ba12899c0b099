package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.load;
import static dev.logratio.internal.reference.Numbers.store;

import dev.logratio.SequenceOptions;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.StepMetrics;
import dev.logratio.TokenOptions;
import dev.logratio.Wpo;
import dev.logratio.internal.Functions;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.PreferenceStepOperand;
import dev.logratio.internal.check.StepOptions;
import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Sft;
import dev.logratio.loss.WeightedLoss;

import java.util.Arrays;

/** One preference step: rows, sequences, pairs, and back. */
final class Step {
    private final Call call;
    private final StepOptions options;
    private final SequenceOptions sequenceOptions;
    private final Spans spans;
    private final StepRows rows;
    private final int sequences;
    private final int pairs;

    /** Weights by the mask and the labels, of each sequence: a token of weight above 0 counts. */
    private final double[][] counted;

    /** The same after the tail weight. */
    private final double[][] weights;

    /** Sums over the terms, [P]. */
    private final double[] losses;

    /**
     * Weights of the chosen tokens that negative log-likelihoods cover, of each pair; null: the
     * mask's.
     */
    private final double[][] nllWeights;

    private final double[] pairWeights;
    private final double upstreamOfLoss;

    /** Gradients of the mean loss, [2P], and by every chosen token's log-prob beside, by pair. */
    private final double[] gradLogps;

    private final double[][] gradTokens;

    // Sums over the tokens.
    private double entropy;
    private double chosenLogits;
    private double rejectedLogits;
    private double rightTokens;
    private long chosenTokens;
    private long rejectedTokens;

    Step(Call call) {
        this.call = call;
        options = call.option(StepOptions.class);
        sequenceOptions = call.option(SequenceOptions.class);
        StridedTensor labels = call.get(PreferenceStepOperand.LABELS);
        spans = Spans.of(labels, call.get(PreferenceStepOperand.CU_SEQLENS));
        rows =
                new StepRows(
                        call.option(TokenOptions.class),
                        call.get(PreferenceStepOperand.LOGITS),
                        labels,
                        call.get(PreferenceStepOperand.GRAD_LOGITS),
                        spans);
        sequences = spans.sequences();
        pairs = sequences / 2;
        losses = new double[pairs];
        gradLogps = new double[sequences];
        gradTokens = new double[pairs][];
        Arrays.setAll(gradTokens, b -> new double[spans.length(b)]);
        pairWeights = Numbers.doubles(call.get(PreferenceStepOperand.PAIR_WEIGHTS), pairs, 1);
        upstreamOfLoss = load(call.get(PreferenceStepOperand.GRAD_LOSS), 0, 1);
        StridedTensor mask = call.get(PreferenceStepOperand.MASK);
        counted = mask == null ? spans.ones() : Sequence.weights(mask, spans);
        rows.leaveOutIgnored(counted);
        StridedTensor nllMask = call.get(PreferenceStepOperand.NLL_MASK);
        nllWeights =
                nllMask == null ? null : Arrays.copyOf(Sequence.weights(nllMask, spans), pairs);
        if (nllMask != null) {
            rows.leaveOutIgnored(nllWeights);
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
        double[][] tokenLogps = new double[sequences][];
        for (int b = 0; b < sequences; b++) {
            tokenLogps[b] = tokenLogps(b);
            logps[b] = Sequence.reduce(tokenLogps[b], weights[b], sequenceOptions.reduction());
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
                        chosen(counts(weights)),
                        rejected(counts(weights)),
                        sequenceOptions.reduction() == Reduction.MEAN,
                        null);
        double[] wpo = wpoWeights();
        for (WeightedLoss term : options.losses()) {
            switch (term.loss()) {
                case Loss.ReferenceFree free when setsNllApart(free) -> {
                    addPaired(free, term.weight(), withoutReference(batch), wpo);
                    StepNll nll = nll(tokenLogps, nllWeights == null ? weights : nllWeights, wpo);
                    nll.addPart(free, term.weight());
                    add(nll);
                }
                case Loss.ReferenceFree free ->
                        addPaired(free, term.weight(), withoutReference(batch), wpo);
                case Loss.Paired paired ->
                        addPaired(
                                paired,
                                term.weight(),
                                paired.dividesByFullLength() ? withFullCounts(batch) : batch,
                                wpo);
                case Sft sft -> {
                    StepNll nll = nll(tokenLogps, nllWeights == null ? counted : nllWeights, wpo);
                    nll.addSft(term.weight());
                    add(nll);
                }
            }
        }
        Rewards rewards = rewards(batch);
        for (int i = 0; i < pairs; i++) {
            store(call.get(PreferenceStepOperand.LOSSES), i, losses[i]);
            rows.countNonfinite(losses[i]);
        }
        if (rows.wantsGradient()) {
            backward();
        }
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
                rows.gradNorm(),
                rows.nonfinite());
    }

    /** Means over the pairs, and the share of pairs whose chosen reward is larger. */
    private record Rewards(double chosen, double rejected, double accuracy) {}

    /** Their beta is that of the first loss that has one; else 0, or .1 with a reference. */
    private Rewards rewards(Pairs batch) {
        double[] beta = rewardBetas();
        double[] chosen = batch.chosenRatios();
        double[] rejected = batch.rejectedRatios();
        double[] right = new double[pairs];
        for (int i = 0; i < pairs; i++) {
            chosen[i] = beta[i] == 0 ? 0 : beta[i] * chosen[i];
            rejected[i] = beta[i] == 0 ? 0 : beta[i] * rejected[i];
            right[i] = chosen[i] > rejected[i] ? 1 : 0;
            store(call.get(PreferenceStepOperand.CHOSEN_REWARDS), i, chosen[i]);
            store(call.get(PreferenceStepOperand.REJECTED_REWARDS), i, rejected[i]);
        }
        return new Rewards(Functions.mean(chosen), Functions.mean(rejected), Functions.mean(right));
    }

    private double[] rewardBetas() {
        for (WeightedLoss term : options.losses()) {
            if (term.loss() instanceof Loss.Paired paired) {
                return PairParameters.of(call, paired, pairs).beta();
            }
        }
        boolean hasReference =
                call.has(PreferenceStepOperand.REFERENCE_LOGPS)
                        || call.has(PreferenceStepOperand.REFERENCE_TOKEN_LOGPS);
        double[] betas = new double[pairs];
        Arrays.fill(betas, hasReference ? .1 : 0);
        return betas;
    }

    /** Whether the call sets the tokens, the pairs' weights or the divisor of a part apart. */
    private boolean setsNllApart(Loss.ReferenceFree loss) {
        Nll nll = StepOptions.nll(loss);
        boolean ofBatch = call.has(PreferenceStepOperand.PAIR_WEIGHTS) || options.tokenCount() > 0;
        return nll != null && (nllWeights != null || nll == Nll.TOKEN && ofBatch);
    }

    private StepNll nll(double[][] logps, double[][] covered, double[] wpo) {
        return new StepNll(
                Arrays.copyOf(logps, pairs),
                Arrays.copyOf(covered, pairs),
                pairWeights,
                wpo,
                options.tokenCount());
    }

    private void add(StepNll nll) {
        for (int i = 0; i < pairs; i++) {
            losses[i] += nll.losses[i];
            for (int t = 0; t < spans.length(i); t++) {
                gradTokens[i][t] += upstreamOfLoss * nll.gradient[i][t];
            }
        }
    }

    private Pairs withFullCounts(Pairs batch) {
        return new Pairs(
                batch.policyChosen(),
                batch.policyRejected(),
                batch.referenceChosen(),
                batch.referenceRejected(),
                chosen(counts(counted)),
                rejected(counts(counted)),
                batch.perToken(),
                batch.parameters());
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
                batch.perToken(),
                batch.parameters());
    }

    /** Adds a loss; one with several values per pair counts with their mean. */
    private void addPaired(Loss.Paired loss, double weight, Pairs plain, double[] wpo) {
        Pairs batch = plain.with(PairParameters.of(call, loss, pairs));
        int values = loss.lossesPerPair();
        double[] ofPair = new double[pairs];
        Arrays.setAll(ofPair, i -> weight / values * wpo[i] * pairWeights[i]);
        double[] upstream = new double[values * pairs];
        Arrays.setAll(upstream, i -> upstreamOfLoss * ofPair[i % pairs] / pairs);
        PairGradients result =
                loss instanceof Loss.ReferenceFree free && setsNllApart(free)
                        ? StepNll.withoutNll(free, batch, upstream)
                        : PairLosses.evaluate(loss, batch, upstream);
        for (int i = 0; i < values * pairs; i++) {
            losses[i % pairs] += Functions.product(ofPair[i % pairs], result.losses[i]);
        }
        for (int i = 0; i < pairs; i++) {
            gradLogps[i] += result.policyChosen[i];
            gradLogps[i + pairs] += result.policyRejected[i];
        }
        PairLosses.storeGradient(call.get(PreferenceStepOperand.GRAD_BETA), result.beta);
        PairLosses.storeGradient(call.get(PreferenceStepOperand.GRAD_BETA_KL), result.beta);
        PairLosses.storeGradient(call.get(PreferenceStepOperand.GRAD_BETA_MIX), result.mix);
        PairLosses.storeGradient(call.get(PreferenceStepOperand.GRAD_TAU), result.tau);
    }

    private double[] wpoWeights() {
        double[] ofPairs = new double[pairs];
        Arrays.fill(ofPairs, 1);
        for (int i = 0; options.wpo() != Wpo.OFF && i < pairs; i++) {
            double weight = wpoWeight(i) * wpoWeight(i + pairs);
            ofPairs[i] = options.wpo() == Wpo.CAPPED ? Math.min(weight, 1) : weight;
        }
        return ofPairs;
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
                TokenRow row = rows.row(b, t);
                sum += row.logProb((int) rows.label(b, t)) - row.logCollision();
                count++;
            }
        }
        return Math.exp(mean(sum, count));
    }

    private static double[] counts(double[][] ofTokens) {
        return Arrays.stream(ofTokens).mapToDouble(Sequence::sum).toArray();
    }

    private double[] chosen(double[] values) {
        return Arrays.copyOf(values, pairs);
    }

    private double[] rejected(double[] values) {
        return Arrays.copyOfRange(values, pairs, sequences);
    }

    /** The log-probs of a sequence's tokens that are of use; adds to the metrics of tokens. */
    private double[] tokenLogps(int b) {
        double[] logps = new double[spans.length(b)];
        for (int t = 0; t < spans.length(b); t++) {
            boolean ofNll = b < pairs && nllWeights != null && nllWeights[b][t] > 0;
            if (!(counted[b][t] > 0) && !ofNll) {
                continue;
            }
            TokenRow row = rows.row(b, t);
            logps[t] = row.logProb((int) rows.label(b, t));
            if (!(counted[b][t] > 0)) {
                continue;
            }
            entropy += row.entropy();
            if (b < pairs) {
                chosenTokens++;
                chosenLogits += row.meanRaw();
                rightTokens += row.argmax() == rows.label(b, t) ? 1 : 0;
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
        for (int b = 0; b < sequences; b++) {
            double upstream =
                    gradLogps[b] / Sequence.divisor(weights[b], sequenceOptions.reduction());
            for (int t = 0; t < spans.length(b); t++) {
                double coefficient = weights[b][t] > 0 ? upstream * weights[b][t] : 0;
                coefficient += b < pairs ? gradTokens[b][t] : 0;
                rows.writeGradient(b, t, coefficient);
            }
        }
    }

    private static double mean(double sum, long count) {
        return count == 0 ? 0 : sum / count;
    }
}
