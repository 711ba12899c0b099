package dev.logratio;

import dev.logratio.loss.Loss;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;

/** What a preference step is made of: the single operations, run on the reference in float64. */
final class StepChain {
    static final long IGNORE = -100;

    /**
     * Random inputs: ragged masks with weights, ignored labels, a masked column, NaN in a row that
     * does not count.
     */
    static final class Batch {
        final Tensor logits;
        final Tensor labels;
        final Tensor mask;
        final Tensor referenceTokens;

        Batch(Arena arena, DType dtype, int pairs, int tokens, int vocabulary) {
            Random random = new Random(11);
            logits =
                    Tensor.zeros(arena, dtype, 2 * pairs, tokens + 1, vocabulary)
                            .slice(1, 0, tokens);
            labels = Tensor.zeros(arena, DType.I32, 2 * pairs, tokens);
            mask = Tensor.zeros(arena, DType.F32, 2 * pairs, tokens);
            referenceTokens = Tensor.zeros(arena, DType.F32, 2 * pairs, tokens).fill(Double.NaN);
            for (int b = 0; b < 2 * pairs; b++) {
                int start = random.nextInt(2);
                int end = start + 2 + random.nextInt(tokens - start - 2);
                for (int t = 0; t < tokens; t++) {
                    boolean counts = t >= start && t < end;
                    boolean ignored = random.nextInt(6) == 0;
                    labels.setLong(ignored ? IGNORE : random.nextInt(vocabulary - 1), b, t);
                    mask.setDouble(counts ? 1 + random.nextInt(2) * .5 : 0, b, t);
                    if (counts && !ignored) {
                        referenceTokens.setDouble(-6 + random.nextGaussian(), b, t);
                    }
                    for (int k = 0; k < vocabulary; k++) {
                        logits.setDouble(counts ? 2 * random.nextGaussian() : Double.NaN, b, t, k);
                    }
                }
            }
        }
    }

    private final Batch batch;
    private final Tensor counted;
    final Tensor logps;
    final Tensor counts;
    final Tensor referenceLogps;
    final Tensor losses;
    final Tensor gradient;
    private final Tensor entropy;
    private final Tensor argmax;
    private final double[] rewards;

    StepChain(
            Arena arena,
            Batch batch,
            TokenOptions tokenOptions,
            SequenceOptions sequenceOptions,
            Loss.Paired loss) {
        Backend reference = Backend.reference();
        this.batch = batch;
        long[] shape = batch.labels.shape();
        int pairs = (int) shape[0] / 2;
        counted = Tensor.zeros(arena, DType.F32, shape).copyFrom(batch.mask);
        for (int b = 0; b < 2 * pairs; b++) {
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
        logps = Tensor.zeros(arena, DType.F64, 2 * pairs);
        counts = Tensor.zeros(arena, DType.F64, 2 * pairs);
        SequenceLogps.of(tokenLogps, counted)
                .sequenceOptions(sequenceOptions)
                .logps(logps)
                .counts(counts)
                .run(reference);
        referenceLogps = Tensor.zeros(arena, DType.F64, 2 * pairs);
        SequenceLogps.of(batch.referenceTokens, counted)
                .sequenceOptions(sequenceOptions)
                .logps(referenceLogps)
                .run(reference);
        losses = Tensor.zeros(arena, DType.F64, pairs);
        Tensor rewardTensor = Tensor.zeros(arena, DType.F64, 2 * pairs);
        Tensor gradLogps = Tensor.zeros(arena, DType.F64, 2 * pairs);
        PairLoss.of(loss, logps.slice(0, 0, pairs), logps.slice(0, pairs, 2 * pairs))
                .reference(
                        referenceLogps.slice(0, 0, pairs),
                        referenceLogps.slice(0, pairs, 2 * pairs))
                .losses(losses)
                .rewards(rewardTensor.slice(0, 0, pairs), rewardTensor.slice(0, pairs, 2 * pairs))
                .gradPolicy(gradLogps.slice(0, 0, pairs), gradLogps.slice(0, pairs, 2 * pairs))
                .run(reference);
        rewards = rewardTensor.toDoubles();
        Tensor gradTokens = Tensor.zeros(arena, DType.F64, shape);
        SequenceLogps.of(null, counted)
                .sequenceOptions(sequenceOptions)
                .gradLogps(gradLogps)
                .gradTokenLogps(gradTokens)
                .run(reference);
        // In float64, so that the norm is that before rounding.
        Tensor exactLogits =
                Tensor.zeros(arena, DType.F64, batch.logits.shape()).copyFrom(batch.logits);
        gradient = Tensor.zeros(arena, DType.F64, batch.logits.shape());
        TokenLogprobsBackward.of(exactLogits, batch.labels, lse)
                .tokenOptions(tokenOptions)
                .gradLogp(gradTokens)
                .gradLogits(gradient)
                .run(reference);
    }

    StepMetrics metrics() {
        int pairs = rewards.length / 2;
        long tokens = counted.size(1);
        double right = 0;
        for (int i = 0; i < pairs; i++) {
            right += rewards[i] > rewards[i + pairs] ? 1 : 0;
        }
        double[] sums = new double[2]; // entropy, right tokens
        double[] logitSums = new double[2];
        int[] number = new int[2];
        for (int b = 0; b < 2 * pairs; b++) {
            int side = b / pairs;
            for (int t = 0; t < tokens; t++) {
                if (counted.getDouble(b, t) > 0) {
                    number[side]++;
                    sums[0] += entropy.getDouble(b, t);
                    sums[1] +=
                            side == 0 && argmax.getLong(b, t) == batch.labels.getLong(b, t) ? 1 : 0;
                    logitSums[side] +=
                            Arrays.stream(batch.logits.select(0, b).select(0, t).toDoubles())
                                    .average()
                                    .orElseThrow();
                }
            }
        }
        double chosen = Arrays.stream(rewards, 0, pairs).average().orElseThrow();
        double rejected = Arrays.stream(rewards, pairs, 2 * pairs).average().orElseThrow();
        return new StepMetrics(
                Arrays.stream(losses.toDoubles()).average().orElseThrow(),
                chosen,
                rejected,
                chosen - rejected,
                right / pairs,
                sums[0] / (number[0] + number[1]),
                sums[1] / number[0],
                logitSums[0] / number[0],
                logitSums[1] / number[1],
                Math.sqrt(Arrays.stream(gradient.toDoubles()).map(g -> g * g).sum()),
                0);
    }
}
