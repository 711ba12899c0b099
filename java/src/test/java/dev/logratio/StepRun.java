package dev.logratio;

import dev.logratio.SequenceOptions.Align;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;

/** A preference step on a batch of three pairs, and what came of it. */
record StepRun(
        StepMetrics metrics, double[] losses, double[] logps, double[] counts, double[] gradient) {
    static final int PAIRS = 3;
    static final int TOKENS = 6;
    static final int VOCABULARY = 41;
    static final long IGNORE = -100;
    static final SequenceOptions TAIL = new SequenceOptions(Reduction.SUM, .5, Align.COMPLETION, 1);

    /**
     * Logits, labels with some ignored, weights with a row of none but one token, and a reference
     * near the policy.
     */
    static final class Batch {
        final Tensor logits;
        final Tensor labels;
        final Tensor mask;
        final Tensor reference;

        Batch(Arena arena, DType dtype) {
            Random random = new Random(5);
            double[] values = random.doubles(2L * PAIRS * TOKENS * VOCABULARY, -2, 2).toArray();
            logits = Tensor.of(arena, dtype, values, 2 * PAIRS, TOKENS, VOCABULARY);
            labels =
                    Tensor.of(
                            arena,
                            random.longs(2L * PAIRS * TOKENS, 0, VOCABULARY).toArray(),
                            2 * PAIRS,
                            TOKENS);
            mask = Tensor.zeros(arena, DType.F32, 2 * PAIRS, TOKENS).fill(1);
            reference = Tensor.zeros(arena, DType.F64, 2 * PAIRS);
            for (int b = 0; b < 2 * PAIRS; b++) {
                labels.setLong(IGNORE, b, b % TOKENS);
                mask.setDouble(0, b, (b + 2) % TOKENS);
                mask.setDouble(1.5, b, (b + 3) % TOKENS);
                for (int t = 2; b == 4 && t < TOKENS; t++) {
                    mask.setDouble(0, b, t);
                }
                reference.setDouble((b == 4 ? -7 : -17) + random.nextGaussian(), b);
            }
        }

        boolean counts(int b, int t) {
            return labels.getLong(b, t) != IGNORE && mask.getDouble(b, t) > 0;
        }
    }

    /** Runs a step, with the batch's reference if one of the losses has a reference. */
    static StepRun of(
            Backend backend,
            Batch batch,
            List<WeightedLoss> losses,
            UnaryOperator<PreferenceStep> options) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor values = Tensor.zeros(arena, DType.F64, PAIRS);
            Tensor logps = Tensor.zeros(arena, DType.F64, 2 * PAIRS);
            Tensor counts = Tensor.zeros(arena, DType.F64, 2 * PAIRS);
            Tensor gradient = Tensor.zeros(arena, batch.logits.dtype(), batch.logits.shape());
            PreferenceStep step =
                    PreferenceStep.of(losses, batch.logits, batch.labels)
                            .mask(batch.mask)
                            .losses(values)
                            .logps(logps)
                            .counts(counts)
                            .gradLogits(gradient);
            boolean free =
                    losses.stream()
                            .noneMatch(
                                    l ->
                                            l.loss() instanceof Loss.OfMargin
                                                    || l.loss() instanceof Loss.OfLogRatios);
            StepMetrics metrics =
                    options.apply(free ? step : step.referenceLogps(batch.reference)).run(backend);
            return new StepRun(
                    metrics,
                    values.toDoubles(),
                    logps.toDoubles(),
                    counts.toDoubles(),
                    gradient.toDoubles());
        }
    }

    /** A loss alone, of weight 1. */
    static List<WeightedLoss> one(Loss.OfStep loss) {
        return List.of(new WeightedLoss(loss, 1));
    }
}
