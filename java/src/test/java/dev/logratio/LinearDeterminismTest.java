package dev.logratio;

import static dev.logratio.LinearStepRun.normal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.loss.Aot;
import dev.logratio.loss.Dbaql;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/** Linear operations have the same bits for any budget, threads and batch. */
class LinearDeterminismTest extends SameBits {
    private static final int VOCABULARY = 1100;
    private static final int SIZE = 33;

    /** Three hundred rows are more than one block of them, and its last one is not full. */
    private static final int MANY = 300;

    static Stream<Arguments> rows() {
        return TestBackends.natives()
                .flatMap(
                        backend ->
                                Stream.of(DType.F32, DType.BF16, DType.F16)
                                        .map(dtype -> arguments(backend, dtype)));
    }

    private record Head(Tensor hidden, Tensor weight, Tensor bias, Tensor labels, Tensor upstream) {
        static Head of(Arena arena, DType dtype, int rows) {
            Random random = new Random(11);
            Tensor labels = Tensor.zeros(arena, DType.I64, rows);
            for (int n = 0; n < rows; n++) {
                labels.setLong(n % 7 == 3 ? -100 : random.nextInt(VOCABULARY), n);
            }
            return new Head(
                    normal(arena, random, dtype, .4, rows, SIZE),
                    normal(arena, random, dtype, 1, VOCABULARY, SIZE),
                    normal(arena, random, dtype, 1, VOCABULARY),
                    labels,
                    normal(arena, random, DType.F32, 1, rows));
        }

        int rows() {
            return (int) labels.size(0);
        }
    }

    private static int rowsFor(Backend backend) {
        return TestBackends.isSlow(backend) ? 40 : MANY;
    }

    // ---- A row's bits ----

    /** What a row gets by itself: log-prob, figures, and the gradient of its hidden state. */
    @ParameterizedTest
    @MethodSource("rows")
    void rowsAloneAndAmongMany(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            Head head = Head.of(arena, dtype, rowsFor(backend));
            for (boolean trained : new boolean[] {false, true}) {
                assertSameAnyway(
                        head.rows(), (from, to) -> ofRows(backend, head, from, to, trained));
            }
        }
    }

    private static byte[][] ofRows(Backend backend, Head head, int from, int to, boolean trained) {
        try (Arena arena = Arena.ofConfined()) {
            int rows = to - from;
            Tensor[] out = {
                Tensor.zeros(arena, DType.F64, rows),
                Tensor.zeros(arena, DType.F64, rows),
                Tensor.zeros(arena, DType.F64, rows),
                Tensor.zeros(arena, DType.F32, rows, SIZE)
            };
            Tensor upstream = head.upstream.slice(0, from, to);
            LinearTokenLogprobs.of(
                            head.hidden.slice(0, from, to),
                            head.weight,
                            head.labels.slice(0, from, to))
                    .bias(head.bias)
                    .gradLogp(upstream)
                    .gradEntropy(upstream)
                    .logp(out[0])
                    .lse(out[1])
                    .entropy(out[2])
                    .gradHidden(out[3])
                    .gradWeight(trained ? Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE) : null)
                    .run(backend);
            return bytes(out);
        }
    }

    // ---- Budgets ----

    private static List<Long> budgets() {
        long row = 4L * VOCABULARY;
        return List.of(row, 7 * row + 5, 40 * row, LinearOptions.DEFAULT.budgetBytes());
    }

    /** Everything, the gradients of weight and bias too, for each budget and one or two threads. */
    @ParameterizedTest
    @MethodSource("rows")
    void budgetsAndThreads(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            Head head = Head.of(arena, dtype, rowsFor(backend));
            for (Frozen frozen : Frozen.values()) {
                byte[][] first = null;
                for (long budget : budgets()) {
                    for (int threads = 1; threads <= 2; threads++) {
                        Logratio.setThreads(threads);
                        LinearOptions options = new LinearOptions(budget, frozen, false);
                        byte[][] outputs = everything(backend, head, options);
                        first = first == null ? outputs : first;
                        for (int i = 0; i < outputs.length; i++) {
                            assertArrayEquals(
                                    first[i],
                                    outputs[i],
                                    frozen + ", output " + i + ", budget " + budget);
                        }
                    }
                }
            }
        }
    }

    private static byte[][] everything(Backend backend, Head head, LinearOptions options) {
        try (Arena arena = Arena.ofConfined()) {
            DType dtype = head.hidden.dtype();
            Tensor[] out = {
                Tensor.zeros(arena, DType.F64, head.rows()),
                Tensor.zeros(arena, dtype, head.rows(), SIZE),
                Tensor.zeros(arena, dtype, VOCABULARY, SIZE),
                Tensor.zeros(arena, DType.F32, VOCABULARY)
            };
            Frozen frozen = options.frozen();
            LinearTokenLogprobs.of(head.hidden, head.weight, head.labels)
                    .bias(head.bias)
                    .linearOptions(options)
                    .gradLogp(head.upstream)
                    .logp(out[0])
                    .gradHidden(frozen == Frozen.HIDDEN ? null : out[1])
                    .gradWeight(frozen == Frozen.WEIGHT ? null : out[2])
                    .gradBias(frozen == Frozen.WEIGHT ? null : out[3])
                    .run(backend);
            return bytes(out);
        }
    }

    static Stream<Arguments> losses() {
        return TestBackends.natives()
                .flatMap(
                        backend ->
                                // Losses by pair, by the variance of the batch, and by ranks.
                                Stream.of(new Sigmoid(), new Dbaql(), new Aot())
                                        .map(loss -> arguments(backend, loss)));
    }

    /** A loss that couples the pairs knows no gradient before all of them are seen. */
    @ParameterizedTest
    @MethodSource("losses")
    void stepsOfEveryBudget(Backend backend, Loss.OfStep loss) {
        try (Arena arena = Arena.ofConfined()) {
            int pairs = 5;
            Head head = Head.of(arena, DType.F32, 2 * pairs * 4);
            Tensor reference = Tensor.zeros(arena, DType.F32, 2 * pairs, 4).fill(-7);
            byte[][] first = null;
            StepMetrics firstMetrics = null;
            boolean recomputes = false;
            for (long budget : budgets()) {
                Tensor[] out = {
                    Tensor.zeros(arena, DType.F64, pairs),
                    Tensor.zeros(arena, DType.F32, 2 * pairs, 4, SIZE),
                    Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE)
                };
                LinearPreferenceStep step =
                        LinearPreferenceStep.of(
                                        loss,
                                        head.hidden.reshape(2 * pairs, 4, SIZE),
                                        head.weight,
                                        head.labels.reshape(2 * pairs, 4))
                                .linearOptions(LinearOptions.DEFAULT.withBudgetBytes(budget))
                                .referenceTokenLogps(reference)
                                .losses(out[0])
                                .gradHidden(out[1])
                                .gradWeight(out[2]);
                StepMetrics metrics = step.run(backend);
                LinearPlan plan = step.plan();
                assertEquals(plan.rows(), plan.keptRows() + plan.recomputedRows());
                long block = 4L * (VOCABULARY + 63) * plan.blockRows(); // of aligned rows
                // A device holds a block's logits, whatever the budget.
                long most = TestBackends.isSlow(backend) ? Math.max(budget, block) : budget;
                assertTrue(plan.keptBytes() <= most, plan::toString);
                recomputes |= plan.recomputedRows() > 0;
                byte[][] outputs = bytes(out);
                first = first == null ? outputs : first;
                firstMetrics = firstMetrics == null ? metrics : firstMetrics;
                assertEquals(firstMetrics, metrics);
                for (int i = 0; i < outputs.length; i++) {
                    assertArrayEquals(first[i], outputs[i], loss + ", output " + i);
                }
            }
            assertTrue(
                    recomputes || TestBackends.isSlow(backend),
                    "the least budget holds one row alone");
        }
    }

    /** A whole step has the same bits on one thread and two, and in a second run. */
    @ParameterizedTest
    @MethodSource("rows")
    void steps(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            int examples = 4;
            Head head = Head.of(arena, dtype, examples * 10);
            Tensor chosen = Tensor.of(arena, new boolean[] {true, false, false, true}, examples);
            Tensor reference = Tensor.zeros(arena, DType.F32, examples).fill(-60);
            byte[][] first = null;
            for (int threads : new int[] {1, 1, 2}) {
                Logratio.setThreads(threads);
                Tensor[] out = {
                    Tensor.zeros(arena, DType.F64, examples),
                    Tensor.zeros(arena, dtype, examples, 10, SIZE),
                    Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE)
                };
                LinearUnpairedStep.of(
                                new Kto(),
                                head.hidden.reshape(examples, 10, SIZE),
                                head.weight,
                                head.labels.reshape(examples, 10),
                                chosen)
                        .referenceLogps(reference)
                        .losses(out[0])
                        .gradHidden(out[1])
                        .gradWeight(out[2])
                        .run(backend);
                byte[][] outputs = bytes(out);
                first = first == null ? outputs : first;
                for (int i = 0; i < outputs.length; i++) {
                    assertArrayEquals(first[i], outputs[i], "output " + i);
                }
            }
        }
    }
}
