package dev.logratio;

import static dev.logratio.LinearStepRun.fused;
import static dev.logratio.LinearStepRun.one;
import static dev.logratio.LinearStepRun.unfused;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.LinearStepRun.Batch;
import dev.logratio.LinearStepRun.Options;
import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/** {@code linear_preference_step} on narrow dtypes, of every size, and what it adds up. */
class LinearStepSizesTest {
    private static final int VOCABULARY = 41;
    private static final int SIZE = 13;

    private static Batch batch(Arena arena, DType dtype) {
        return new Batch(arena, dtype, 3, 6, VOCABULARY, SIZE);
    }

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    @ParameterizedTest
    @MethodSource("backends")
    void narrowTypes(Backend backend) {
        for (DType dtype : List.of(DType.BF16, DType.F16)) {
            for (DType gradients : List.of(dtype, DType.F32)) {
                for (Frozen frozen : Frozen.values()) {
                    try (Arena arena = Arena.ofConfined()) {
                        Batch batch = batch(arena, dtype);
                        Options options = s -> s.referenceTokenLogps(batch.reference);
                        LinearOptions linear = LinearOptions.DEFAULT.withFrozen(frozen);
                        fused(backend, batch, one(new Sigmoid()), linear, gradients, options)
                                .expect(
                                        dtype + " " + gradients + " " + frozen,
                                        unfused(batch, one(new Sigmoid()), options),
                                        dtype,
                                        frozen);
                    }
                }
            }
        }
    }

    static Stream<Arguments> sizes() {
        int[][] sizes = {
            // pairs, tokens, vocabulary, size of a hidden state
            {1, 1, 1, 1},
            {1, 1, 2, 1},
            {1, 1, 513, 3},
            {1, 16, 5, 129},
            {1, 129, 7, 2},
            {2, 65, 31, 17},
            {3, 43, 1025, 5}
        };
        return TestBackends.all()
                .flatMap(backend -> Stream.of(sizes).map(size -> arguments(backend, size)));
    }

    /** One row, one column, blocks that are not full, windows of the vocabulary by one too long. */
    @ParameterizedTest
    @MethodSource("sizes")
    void everySize(Backend backend, int[] size) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32, size[0], size[1], size[2], size[3]);
            Options options = s -> s.referenceTokenLogps(batch.reference);
            LinearStepRun expected = unfused(batch, one(new Sigmoid()), options);
            for (Frozen frozen : Frozen.values()) {
                LinearOptions linear = LinearOptions.DEFAULT.withFrozen(frozen);
                fused(backend, batch, one(new Sigmoid()), linear, DType.F32, options)
                        .expect(
                                List.of(size[0], size[1]) + " " + frozen,
                                expected,
                                DType.F32,
                                frozen);
            }
        }
    }

    /** No pair, and pairs without a token: losses are defined, gradients 0. */
    @ParameterizedTest
    @MethodSource("backends")
    void nothingCounts(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            for (int pairs : new int[] {0, 2}) {
                Batch batch = new Batch(arena, DType.F32, pairs, 4, 5, 3);
                batch.mask.fill(0);
                batch.hidden.fill(Double.NaN);
                LinearStepRun run =
                        fused(backend, batch, one(new Sigmoid()), s -> s.referenceFree());
                assertEquals(pairs == 0 ? 0 : Math.log(2), run.metrics().loss(), 1e-12);
                assertEquals(0, run.metrics().gradNorm());
                for (double value : run.ofHidden()) {
                    assertEquals(0, value);
                }
                for (double value : run.ofWeight()) {
                    assertEquals(0, value);
                }
            }
        }
    }

    // ---- Accumulation and plans ----

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16"})
    void accumulates(DType dtype) {
        TestBackends.all().forEach(backend -> accumulates(backend, dtype));
    }

    /** What was there, and twice the gradient: rounded once each time. */
    private static void accumulates(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = batch(arena, dtype);
            Tensor ofWeight = Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE).fill(.5);
            Tensor ofBias = Tensor.zeros(arena, DType.F32, VOCABULARY).fill(-.25);
            Tensor ofHidden = Tensor.zeros(arena, DType.F32, batch.hidden.shape()).fill(3);
            LinearPreferenceStep step =
                    LinearPreferenceStep.of(new Sigmoid(), batch.hidden, batch.weight, batch.labels)
                            .bias(batch.bias)
                            .mask(batch.mask)
                            .referenceFree()
                            .linearOptions(LinearOptions.DEFAULT.withAccumulate(true))
                            .gradHidden(ofHidden)
                            .gradWeight(ofWeight)
                            .gradBias(ofBias);
            step.run(backend);
            step.run(backend);
            LinearTwin.Gradients once =
                    unfused(batch, one(new Sigmoid()), s -> s.referenceFree()).gradients();
            String what = backend + " " + dtype;
            LinearTwin.expect(what, dtype, plus(once.weight(), .5), ofWeight.toDoubles());
            LinearTwin.expect(what, dtype, plus(once.bias(), -.25), ofBias.toDoubles());
            LinearTwin.expect(what, dtype, once.hidden(), ofHidden.toDoubles());
        }
    }

    private static double[] plus(double[] once, double before) {
        return Arrays.stream(once).map(value -> before + 2 * value).toArray();
    }

    @ParameterizedTest
    @MethodSource("backends")
    void plansTellWhatWasDone(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = batch(arena, DType.F32);
            LinearPlan plan =
                    fused(backend, batch, one(new Sigmoid()), s -> s.referenceFree()).plan();
            assertEquals(LinearPlan.Method.SWEEP, plan.method());
            assertEquals(plan.rows(), plan.keptRows() + plan.recomputedRows());
            assertEquals(0, plan.recomputedRows(), "a budget for all of them");
            assertEquals(6, plan.operations());
            assertTrue(plan.blockRows() > 0 && plan.blockColumns() > 0, plan::toString);
            assertTrue(!plan.gemm().isEmpty(), plan::toString);
            LinearPreferenceStep forward =
                    LinearPreferenceStep.of(new Sigmoid(), batch.hidden, batch.weight, batch.labels)
                            .referenceFree();
            forward.run(backend);
            assertEquals(LinearPlan.Method.FORWARD, forward.plan().method());
            assertEquals(2, forward.plan().operations());
        }
    }
}
