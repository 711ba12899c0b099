package dev.logratio;

import static dev.logratio.LinearStepRun.normal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;

/**
 * {@code linear_unpaired_step} beside {@code unpaired_step} of the reference, on logits that plain
 * loops make in float64.
 */
class LinearUnpairedStepTest {
    private static final int EXAMPLES = 5;
    private static final int TOKENS = 4;
    private static final int VOCABULARY = 31;
    private static final int SIZE = 11;

    private static final class Batch {
        final Arena arena;
        final Tensor hidden;
        final Tensor weight;
        final Tensor bias;
        final Tensor labels;
        final Tensor mask;
        final Tensor chosen;
        final Tensor reference;
        final Tensor kl;
        final Tensor weights;

        Batch(Arena arena, DType dtype) {
            this.arena = arena;
            Random random = new Random(21);
            hidden = normal(arena, random, dtype, .5, EXAMPLES, TOKENS, SIZE);
            weight = normal(arena, random, dtype, 1, VOCABULARY, SIZE);
            bias = normal(arena, random, dtype, 1, VOCABULARY);
            labels = Tensor.zeros(arena, DType.I32, EXAMPLES, TOKENS);
            mask = Tensor.zeros(arena, DType.F32, EXAMPLES, TOKENS).fill(1);
            for (int b = 0; b < EXAMPLES; b++) {
                for (int t = 0; t < TOKENS; t++) {
                    labels.setLong(random.nextInt(VOCABULARY), b, t);
                }
                mask.setDouble(.5 * (b % 3), b, b % TOKENS);
            }
            labels.setLong(-100, 1, 3);
            chosen = Tensor.of(arena, new boolean[] {true, false, true, false, false}, EXAMPLES);
            reference = normal(arena, random, DType.F32, 1, EXAMPLES, TOKENS);
            for (int b = 0; b < EXAMPLES; b++) {
                for (int t = 0; t < TOKENS; t++) {
                    reference.setDouble(reference.getDouble(b, t) - 4, b, t);
                }
            }
            kl = normal(arena, random, DType.F32, 1, 3);
            weights = Tensor.of(arena, DType.F32, new double[] {1, .5, 0, 2, 1}, EXAMPLES);
        }

        LinearTwin head() {
            return new LinearTwin(hidden, weight, bias);
        }
    }

    /** What both ways are told, and the tensors of their figures. */
    private static Tensor[] tell(
            ExampleStep<?> step, Batch batch, Loss.Unpaired loss, Reduction reduction) {
        Tensor[] out = new Tensor[5];
        Arrays.setAll(out, k -> Tensor.zeros(batch.arena, DType.F64, k == 4 ? 1 : EXAMPLES));
        step.mask(batch.mask);
        step.referenceTokenLogps(batch.reference);
        step.weights(batch.weights);
        step.gradLoss(Tensor.of(batch.arena, DType.F32, new double[] {3}, 1));
        step.tokenOptions(TokenOptions.DEFAULT.withTemperature(.9).withSoftcap(6));
        step.sequenceOptions(SequenceOptions.DEFAULT.withReduction(reduction));
        if (loss instanceof Kto) {
            step.klLogps(batch.kl, Tensor.zeros(batch.arena, DType.F32, 3).fill(-1));
        }
        step.losses(out[0]);
        step.logps(out[1]);
        step.counts(out[2]);
        step.rewards(out[3]);
        step.kl(out[4]);
        return out;
    }

    static Stream<Arguments> losses() {
        return TestBackends.all()
                .flatMap(
                        backend ->
                                TestLosses.all(Loss.Unpaired.class).stream()
                                        .map(loss -> arguments(backend, loss)));
    }

    @ParameterizedTest
    @MethodSource("losses")
    void equalsTheTwin(Backend backend, Loss.Unpaired loss) {
        for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
            for (Reduction reduction : Reduction.values()) {
                for (Frozen frozen : Frozen.values()) {
                    try (Arena arena = Arena.ofConfined()) {
                        compare(backend, new Batch(arena, dtype), loss, reduction, frozen);
                    }
                }
            }
        }
    }

    private static void compare(
            Backend backend, Batch batch, Loss.Unpaired loss, Reduction reduction, Frozen frozen) {
        Tensor logits = batch.head().logits(batch.arena);
        Tensor gradLogits = Tensor.zeros(batch.arena, DType.F64, logits.shape());
        UnpairedStep twin =
                UnpairedStep.of(loss, logits, batch.labels, batch.chosen).gradLogits(gradLogits);
        Tensor[] expected = tell(twin, batch, loss, reduction);
        UnpairedStepMetrics metrics = twin.run(Backend.reference());
        LinearTwin.Gradients gradients = batch.head().gradients(gradLogits, VOCABULARY);

        DType dtype = batch.hidden.dtype();
        Tensor gradHidden = Tensor.zeros(batch.arena, dtype, batch.hidden.shape());
        Tensor gradWeight = Tensor.zeros(batch.arena, dtype, batch.weight.shape());
        Tensor gradBias = Tensor.zeros(batch.arena, DType.F32, VOCABULARY);
        LinearUnpairedStep step =
                LinearUnpairedStep.of(loss, batch.hidden, batch.weight, batch.labels, batch.chosen)
                        .bias(batch.bias)
                        .linearOptions(LinearOptions.DEFAULT.withFrozen(frozen))
                        .gradHidden(frozen == Frozen.HIDDEN ? null : gradHidden)
                        .gradWeight(frozen == Frozen.WEIGHT ? null : gradWeight)
                        .gradBias(frozen == Frozen.WEIGHT ? null : gradBias);
        Tensor[] actual = tell(step, batch, loss, reduction);
        UnpairedStepMetrics got = step.run(backend);
        String what = loss + " " + dtype + " " + reduction + " " + frozen;
        for (int k = 0; k < expected.length; k++) {
            Expect.asPromised(what, DType.F32, expected[k].toDoubles(), actual[k].toDoubles());
        }
        Expect.asPromised(what, DType.F32, numbers(metrics), numbers(got));
        if (frozen != Frozen.HIDDEN) {
            LinearTwin.expect(what, dtype, gradients.hidden(), gradHidden.toDoubles());
        }
        if (frozen != Frozen.WEIGHT) {
            LinearTwin.expect(what, dtype, gradients.weight(), gradWeight.toDoubles());
            LinearTwin.expect(what, dtype, gradients.bias(), gradBias.toDoubles());
        }
    }

    private static double[] numbers(UnpairedStepMetrics m) {
        return new double[] {
            m.loss(),
            m.rewardsChosen(),
            m.rewardsRejected(),
            m.entropy(),
            m.tokenAccuracy(),
            m.logitsChosen(),
            m.logitsRejected(),
            m.gradNorm(),
            m.nonfinite()
        };
    }

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** Packed sequences have the padded call's bits. */
    @ParameterizedTest
    @MethodSource("backends")
    void packed(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            int rows = EXAMPLES * TOKENS;
            long[] ends = {0, 4, 8, 12, 16, 20};
            Tensor[] gradients = new Tensor[4];
            Arrays.setAll(
                    gradients,
                    k ->
                            k % 2 == 0
                                    ? Tensor.zeros(arena, DType.F32, rows, SIZE)
                                    : Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE));
            UnpairedStepMetrics padded =
                    LinearUnpairedStep.of(
                                    new Kto(),
                                    batch.hidden,
                                    batch.weight,
                                    batch.labels,
                                    batch.chosen)
                            .mask(batch.mask)
                            .referenceTokenLogps(batch.reference)
                            .gradHidden(gradients[0].reshape(EXAMPLES, TOKENS, SIZE))
                            .gradWeight(gradients[1])
                            .run(backend);
            UnpairedStepMetrics packed =
                    LinearUnpairedStep.of(
                                    new Kto(),
                                    batch.hidden.reshape(rows, SIZE),
                                    batch.weight,
                                    batch.labels.reshape(rows),
                                    batch.chosen)
                            .cuSeqlens(Tensor.of(arena, ends, ends.length))
                            .mask(batch.mask.reshape(rows))
                            .referenceTokenLogps(batch.reference.reshape(rows))
                            .gradHidden(gradients[2])
                            .gradWeight(gradients[3])
                            .run(backend);
            assertEquals(padded, packed);
            assertArrayEquals(gradients[0].toDoubles(), gradients[2].toDoubles());
            assertArrayEquals(gradients[1].toDoubles(), gradients[3].toDoubles());
        }
    }
}
