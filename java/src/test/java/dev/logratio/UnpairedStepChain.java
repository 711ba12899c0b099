package dev.logratio;

import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;

/** What an unpaired step is made of: the single operations, run on the reference in float64. */
final class UnpairedStepChain {
    static final long IGNORE = -100;

    /**
     * Random inputs of five examples: weighted masks, ignored labels, an example without a token
     * that counts, NaN in rows that do not count.
     */
    static final class Batch {
        static final int EXAMPLES = 5;

        final Tensor logits;
        final Tensor labels;
        final Tensor mask;
        final Tensor chosen;
        final Tensor referenceTokens;
        final Tensor weights;
        final Tensor gradLoss;
        final Tensor klPolicy;
        final Tensor klReference;

        Batch(Arena arena, DType dtype, int tokens, int vocabulary) {
            Random random = new Random(17);
            long[] shape = {EXAMPLES, tokens};
            logits =
                    Tensor.zeros(arena, dtype, EXAMPLES, tokens + 1, vocabulary)
                            .slice(1, 0, tokens);
            labels = Tensor.zeros(arena, DType.I64, shape);
            mask = Tensor.zeros(arena, DType.F32, shape);
            referenceTokens = Tensor.zeros(arena, DType.F32, shape).fill(Double.NaN);
            for (int b = 0; b < EXAMPLES; b++) {
                for (int t = 0; t < tokens; t++) {
                    boolean counts = b != 3 && random.nextInt(4) > 0;
                    boolean ignored = random.nextInt(6) == 0;
                    labels.setLong(ignored ? IGNORE : random.nextInt(vocabulary), b, t);
                    mask.setDouble(counts ? 1 + random.nextInt(2) * .5 : 0, b, t);
                    if (counts && !ignored) {
                        referenceTokens.setDouble(-5 + random.nextGaussian(), b, t);
                    }
                    for (int k = 0; k < vocabulary; k++) {
                        logits.setDouble(counts ? 2 * random.nextGaussian() : Double.NaN, b, t, k);
                    }
                }
            }
            chosen = Tensor.of(arena, new boolean[] {true, false, true, true, false}, EXAMPLES);
            weights = Tensor.of(arena, new float[] {1, .25f, 0, 2, 3}, EXAMPLES);
            gradLoss = Tensor.of(arena, new float[] {-1.5f}, 1);
            klPolicy = Tensor.of(arena, new float[] {-3, -8}, 2);
            klReference = Tensor.of(arena, new float[] {-5, -7.5f}, 2); // kl is .75
        }

        /** A step with every input; the reference's log-probs are those of tokens. */
        UnpairedStep step(Loss.Unpaired loss, Tensor logits) {
            UnpairedStep step =
                    UnpairedStep.of(loss, logits, labels, chosen)
                            .mask(mask)
                            .referenceTokenLogps(referenceTokens)
                            .weights(weights)
                            .gradLoss(gradLoss);
            return loss instanceof Kto ? step.klLogps(klPolicy, klReference) : step;
        }
    }

    private final Batch batch;
    private final Tensor counted;
    private final Tensor entropy;
    private final Tensor argmax;
    final Tensor logps;
    final Tensor counts;
    final Tensor referenceLogps;
    final Tensor losses;
    final Tensor rewards;
    final Tensor kl;
    final Tensor gradient;

    UnpairedStepChain(
            Arena arena,
            Batch batch,
            TokenOptions tokenOptions,
            SequenceOptions sequenceOptions,
            Loss.Unpaired loss) {
        Backend reference = Backend.reference();
        this.batch = batch;
        long[] shape = batch.labels.shape();
        int examples = (int) shape[0];
        counted = Tensor.zeros(arena, DType.F32, shape).copyFrom(batch.mask);
        for (int b = 0; b < examples; b++) {
            for (int t = 0; t < shape[1]; t++) {
                if (batch.labels.getLong(b, t) == IGNORE) {
                    counted.setDouble(0, b, t);
                }
            }
        }
        Tensor tokenLogps = Tensor.zeros(arena, DType.F64, shape);
        Tensor lse = Tensor.zeros(arena, DType.F64, shape);
        entropy = Tensor.zeros(arena, DType.F64, shape);
        argmax = Tensor.zeros(arena, DType.I64, shape);
        TokenLogprobs.of(batch.logits, batch.labels)
                .tokenOptions(tokenOptions)
                .logp(tokenLogps)
                .lse(lse)
                .entropy(entropy)
                .argmax(argmax)
                .run(reference);
        logps = Tensor.zeros(arena, DType.F64, examples);
        counts = Tensor.zeros(arena, DType.F64, examples);
        SequenceLogps.of(tokenLogps, counted)
                .sequenceOptions(sequenceOptions)
                .logps(logps)
                .counts(counts)
                .run(reference);
        referenceLogps = Tensor.zeros(arena, DType.F64, examples);
        SequenceLogps.of(batch.referenceTokens, counted)
                .sequenceOptions(sequenceOptions)
                .logps(referenceLogps)
                .run(reference);
        losses = Tensor.zeros(arena, DType.F64, examples);
        rewards = Tensor.zeros(arena, DType.F64, examples);
        kl = Tensor.zeros(arena, DType.F64, 1);
        Tensor upstream = Tensor.zeros(arena, DType.F64, examples);
        Tensor gradLogps = Tensor.zeros(arena, DType.F64, examples);
        for (int b = 0; b < examples; b++) {
            upstream.setDouble(
                    batch.gradLoss.getDouble(0) * batch.weights.getDouble(b) / examples, b);
        }
        UnpairedLoss unpaired =
                UnpairedLoss.of(loss, logps, referenceLogps, batch.chosen)
                        .gradLoss(upstream)
                        .losses(losses)
                        .rewards(rewards)
                        .kl(kl)
                        .gradPolicy(gradLogps);
        if (loss instanceof Kto) {
            unpaired.klLogps(batch.klPolicy, batch.klReference);
        }
        unpaired.run(reference);
        for (int b = 0; b < examples; b++) {
            losses.setDouble(losses.getDouble(b) * batch.weights.getDouble(b), b);
        }
        Tensor gradTokens = Tensor.zeros(arena, DType.F64, shape);
        SequenceLogps.of(null, counted)
                .sequenceOptions(sequenceOptions)
                .gradLogps(gradLogps)
                .gradTokenLogps(gradTokens)
                .run(reference);
        Tensor exactLogits =
                Tensor.zeros(arena, DType.F64, batch.logits.shape()).copyFrom(batch.logits);
        gradient = Tensor.zeros(arena, DType.F64, batch.logits.shape());
        TokenLogprobsBackward.of(exactLogits, batch.labels, lse)
                .tokenOptions(tokenOptions)
                .gradLogp(gradTokens)
                .gradLogits(gradient)
                .run(reference);
    }

    UnpairedStepMetrics metrics() {
        double[] examples = new double[2]; // of the chosen and of the rejected ones
        double[] rewardSums = new double[2];
        double[] tokens = new double[2];
        double[] logitSums = new double[2];
        double[] right = new double[2];
        double entropySum = 0;
        for (int b = 0; b < Batch.EXAMPLES; b++) {
            int side = batch.chosen.getLong(b) == 1 ? 0 : 1;
            examples[side]++;
            rewardSums[side] += rewards.getDouble(b);
            for (int t = 0; t < counted.size(1); t++) {
                if (counted.getDouble(b, t) > 0) {
                    tokens[side]++;
                    entropySum += entropy.getDouble(b, t);
                    right[side] += argmax.getLong(b, t) == batch.labels.getLong(b, t) ? 1 : 0;
                    logitSums[side] +=
                            Arrays.stream(batch.logits.select(0, b).select(0, t).toDoubles())
                                    .average()
                                    .orElseThrow();
                }
            }
        }
        return new UnpairedStepMetrics(
                Arrays.stream(losses.toDoubles()).average().orElseThrow(),
                rewardSums[0] / examples[0],
                rewardSums[1] / examples[1],
                rewardSums[0] / examples[0] - rewardSums[1] / examples[1],
                entropySum / (tokens[0] + tokens[1]),
                right[0] / tokens[0],
                logitSums[0] / tokens[0],
                logitSums[1] / tokens[1],
                Math.sqrt(Arrays.stream(gradient.toDoubles()).map(g -> g * g).sum()),
                0);
    }
}
