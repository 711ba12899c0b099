package dev.logratio;

import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;

/** A step of pairs on a head, fused or not, and what came of it. */
record LinearStepRun(
        StepMetrics metrics,
        double[] losses,
        double[] logps,
        double[] counts,
        double[] chosenRewards,
        double[] rejectedRewards,
        LinearTwin.Gradients gradients,
        LinearPlan plan) {
    static final long IGNORE = -100;

    /** What both ways are told, by the setters that they share. */
    interface Options extends Consumer<PairStep<?>> {}

    static final Options NONE = step -> {};

    /**
     * Hidden states, a head, labels with some ignored, a mask that leaves some out, and a reference
     * near the policy.
     */
    static final class Batch {
        final Arena arena;
        final int pairs;
        final int tokens;
        final Tensor hidden;
        final Tensor weight;
        final Tensor bias;
        final Tensor labels;
        final Tensor mask;
        final Tensor reference;

        Batch(Arena arena, DType dtype, int pairs, int tokens, int vocabulary, int size) {
            this.arena = arena;
            this.pairs = pairs;
            this.tokens = tokens;
            Random random = new Random(7);
            // Logits of a few units, whatever the size.
            double scale = 2 / Math.sqrt(size);
            hidden = normal(arena, random, dtype, scale, 2 * pairs, tokens, size);
            weight = normal(arena, random, dtype, 1, vocabulary, size);
            bias = normal(arena, random, dtype, 1, vocabulary);
            labels = Tensor.zeros(arena, DType.I64, 2 * pairs, tokens);
            mask = Tensor.zeros(arena, DType.BOOL, 2 * pairs, tokens).fill(1);
            reference = Tensor.zeros(arena, DType.F64, 2 * pairs, tokens);
            for (int b = 0; b < 2 * pairs; b++) {
                for (int t = 0; t < tokens; t++) {
                    labels.setLong(random.nextInt(vocabulary), b, t);
                }
                if (tokens > 3) {
                    labels.setLong(IGNORE, b, b % tokens);
                    mask.setDouble(0, b, (b + 2) % tokens);
                }
            }
            TokenLogprobs.of(head().logits(arena), labels).logp(reference).run(Backend.reference());
            for (int b = 0; b < 2 * pairs; b++) {
                for (int t = 0; t < tokens; t++) {
                    double noise = .2 * random.nextGaussian();
                    reference.setDouble(reference.getDouble(b, t) + noise, b, t);
                }
            }
        }

        LinearTwin head() {
            return new LinearTwin(hidden, weight, bias);
        }

        Tensor out(DType dtype, long... shape) {
            return Tensor.zeros(arena, dtype, shape);
        }
    }

    static Tensor normal(Arena arena, Random random, DType dtype, double scale, long... shape) {
        Tensor tensor = Tensor.zeros(arena, dtype, shape);
        double[] values =
                random.doubles(tensor.elementCount())
                        .map(_ -> scale * random.nextGaussian())
                        .toArray();
        return Tensor.of(arena, dtype, values, shape);
    }

    static List<WeightedLoss> one(Loss.OfStep loss) {
        return List.of(new WeightedLoss(loss, 1));
    }

    /** The linear operation; {@code gradients} is the dtype of what it has gradients of, or F32. */
    static LinearStepRun fused(
            Backend backend,
            Batch batch,
            List<WeightedLoss> losses,
            LinearOptions linear,
            DType gradients,
            Options options) {
        LinearPreferenceStep step =
                LinearPreferenceStep.of(losses, batch.hidden, batch.weight, batch.labels)
                        .bias(batch.bias)
                        .linearOptions(linear);
        Tensor ofHidden = batch.out(gradients, batch.hidden.shape());
        Tensor ofWeight = batch.out(gradients, batch.weight.shape());
        Tensor ofBias = batch.out(gradients, batch.bias.shape());
        if (linear.frozen() != Frozen.HIDDEN) {
            step.gradHidden(ofHidden);
        }
        if (linear.frozen() != Frozen.WEIGHT) {
            step.gradWeight(ofWeight).gradBias(ofBias);
        }
        Outputs out = new Outputs(batch, step, options);
        StepMetrics metrics = step.run(backend);
        LinearTwin.Gradients all =
                new LinearTwin.Gradients(
                        ofHidden.toDoubles(), ofWeight.toDoubles(), ofBias.toDoubles());
        return out.run(metrics, all, step.plan());
    }

    static LinearStepRun fused(
            Backend backend, Batch batch, List<WeightedLoss> losses, Options options) {
        return fused(backend, batch, losses, LinearOptions.DEFAULT, batch.hidden.dtype(), options);
    }

    /** The twin on logits, on the reference. */
    static LinearStepRun unfused(
            Batch batch, List<WeightedLoss> losses, int columns, Options options) {
        Tensor logits = batch.head().logits(batch.arena);
        Tensor gradLogits = batch.out(DType.F64, logits.shape());
        PreferenceStep step =
                PreferenceStep.of(losses, logits, batch.labels).gradLogits(gradLogits);
        Outputs out = new Outputs(batch, step, options);
        StepMetrics metrics = step.run(Backend.reference());
        return out.run(metrics, batch.head().gradients(gradLogits, columns), null);
    }

    static LinearStepRun unfused(Batch batch, List<WeightedLoss> losses, Options options) {
        return unfused(batch, losses, (int) batch.weight.size(0), options);
    }

    /** The figures of sequences and pairs. */
    private record Outputs(
            Tensor losses, Tensor logps, Tensor counts, Tensor chosen, Tensor rejected) {
        Outputs(Batch batch, PairStep<?> step, Options options) {
            this(
                    batch.out(DType.F64, batch.pairs),
                    batch.out(DType.F64, 2 * batch.pairs),
                    batch.out(DType.F64, 2 * batch.pairs),
                    batch.out(DType.F64, batch.pairs),
                    batch.out(DType.F64, batch.pairs));
            step.mask(batch.mask);
            step.losses(losses);
            step.logps(logps);
            step.counts(counts);
            step.chosenRewards(chosen);
            step.rejectedRewards(rejected);
            options.accept(step);
        }

        LinearStepRun run(StepMetrics metrics, LinearTwin.Gradients gradients, LinearPlan plan) {
            return new LinearStepRun(
                    metrics,
                    losses.toDoubles(),
                    logps.toDoubles(),
                    counts.toDoubles(),
                    chosen.toDoubles(),
                    rejected.toDoubles(),
                    gradients,
                    plan);
        }
    }

    /** Compares everything, gradients within what is promised of a dtype. */
    void expect(String what, LinearStepRun expected, DType dtype, Frozen frozen) {
        Expect.asPromised(what + " losses", DType.F32, expected.losses, losses);
        Expect.asPromised(what + " logps", DType.F32, expected.logps, logps);
        Expect.exact(what + " counts", expected.counts, counts);
        Expect.asPromised(what + " chosen", DType.F32, expected.chosenRewards, chosenRewards);
        Expect.asPromised(what + " rejected", DType.F32, expected.rejectedRewards, rejectedRewards);
        Expect.asPromised(what + " metrics", DType.F32, numbers(expected), numbers(this));
        if (frozen != Frozen.HIDDEN) {
            LinearTwin.expect(what + " hidden", dtype, expected.gradients.hidden(), ofHidden());
        }
        if (frozen != Frozen.WEIGHT) {
            LinearTwin.expect(what + " weight", dtype, expected.gradients.weight(), ofWeight());
            LinearTwin.expect(what + " bias", dtype, expected.gradients.bias(), ofBias());
        }
    }

    double[] ofHidden() {
        return gradients.hidden();
    }

    double[] ofWeight() {
        return gradients.weight();
    }

    double[] ofBias() {
        return gradients.bias();
    }

    private static double[] numbers(LinearStepRun run) {
        StepMetrics m = run.metrics;
        return new double[] {
            m.loss(),
            m.rewardsChosen(),
            m.rewardsRejected(),
            m.rewardsAccuracy(),
            m.entropy(),
            m.tokenAccuracy(),
            m.logitsChosen(),
            m.logitsRejected(),
            m.gradNorm(),
            m.nonfinite()
        };
    }
}
