package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Kto;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

/**
 * The same bits for any number of threads, any batch around a row, any run, and any calls beside
 * it.
 */
class DeterminismTest {
    private static final int VOCABULARY = 40_009;
    private static final int ROWS = 10;
    private static final int FEW_ROWS = 3;

    private int threads;

    @BeforeEach
    void rememberThreads() {
        threads = Logratio.threads();
    }

    @AfterEach
    void restoreThreads() {
        Logratio.setThreads(threads);
    }

    static Stream<Arguments> rows() {
        return TestBackends.natives()
                .flatMap(
                        backend ->
                                Stream.of(DType.F32, DType.BF16, DType.F16)
                                        .map(dtype -> arguments(backend, dtype)));
    }

    static Stream<Arguments> steps() {
        return TestBackends.all()
                .filter(backend -> backend != Backend.reference())
                .flatMap(
                        backend ->
                                Stream.of(DType.F32, DType.BF16)
                                        .map(dtype -> arguments(backend, dtype)));
    }

    @ParameterizedTest
    @MethodSource("rows")
    void threadsBatchesAndRuns(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, dtype, ROWS, 1);
            assertSameAnyway(ROWS, (from, to) -> run(backend, logits, from, to));
        }
    }

    static Stream<Arguments> divergences() {
        return TestBackends.natives()
                .flatMap(
                        backend ->
                                Arrays.stream(DivergenceKind.values())
                                        .map(kind -> arguments(backend, kind)));
    }

    @ParameterizedTest
    @MethodSource("divergences")
    void everyDivergence(Backend backend, DivergenceKind kind) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor p = random(arena, DType.F32, FEW_ROWS, 3);
            Tensor q = random(arena, DType.F32, FEW_ROWS, 4);
            assertSameAnyway(
                    FEW_ROWS,
                    (from, to) -> {
                        Tensor[] out = outputs(arena, to - from, 2);
                        Divergence.of(p.slice(0, from, to), q.slice(0, from, to))
                                .options(
                                        DivergenceOptions.of(kind)
                                                .withReduction(DivergenceOptions.Reduction.SUM))
                                .values(out[0])
                                .gradP(out[1])
                                .gradQ(out[2])
                                .run(backend);
                        return bytes(out);
                    });
        }
    }

    static Stream<Arguments> rules() {
        return TestBackends.natives()
                .flatMap(
                        backend ->
                                Arrays.stream(ScoringRuleOptions.Rule.values())
                                        .map(rule -> arguments(backend, rule)));
    }

    @ParameterizedTest
    @MethodSource("rules")
    void everyScoringRule(Backend backend, ScoringRuleOptions.Rule rule) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, DType.F32, FEW_ROWS, 5);
            assertSameAnyway(
                    FEW_ROWS,
                    (from, to) -> {
                        Tensor[] out = outputs(arena, to - from, 1);
                        ScoringRule.of(
                                        logits.slice(0, from, to),
                                        Tensor.zeros(arena, DType.I64, to - from).fill(17))
                                .options(ScoringRuleOptions.of(rule))
                                .gradLoss(Tensor.zeros(arena, DType.F32, to - from).fill(.7))
                                .values(out[0])
                                .gradLogits(out[1])
                                .run(backend);
                        return bytes(out);
                    });
        }
    }

    @ParameterizedTest
    @MethodSource("steps")
    void wholeSteps(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, dtype, ROWS, 2);
            Logratio.setThreads(1);
            List<Object> one = step(backend, logits);
            Logratio.setThreads(2);
            assertEquals(one, step(backend, logits));
            assertEquals(one, step(backend, logits));
        }
    }

    @ParameterizedTest
    @MethodSource("steps")
    void stepsOfExamples(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, dtype, ROWS, 6);
            Logratio.setThreads(1);
            List<Object> one = stepOfExamples(backend, logits);
            Logratio.setThreads(2);
            assertEquals(one, stepOfExamples(backend, logits));
            assertEquals(one, stepOfExamples(backend, logits));
        }
    }

    /** Eight threads, each with its own tensors, get what they get alone. */
    @ParameterizedTest
    @MethodSource("rows")
    void concurrentCalls(Backend backend, DType dtype) throws Exception {
        Logratio.setThreads(2);
        try (Arena arena = Arena.ofShared();
                ExecutorService executor = Executors.newFixedThreadPool(8)) {
            List<Tensor> inputs = new ArrayList<>();
            List<byte[][]> alone = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                inputs.add(random(arena, dtype, ROWS, 100 + i));
                alone.add(run(backend, inputs.get(i), 0, ROWS));
            }
            for (int round = 0; round < (TestBackends.isSlow(backend) ? 1 : 5); round++) {
                List<Future<byte[][]>> together = new ArrayList<>();
                for (Tensor logits : inputs) {
                    together.add(executor.submit(() -> run(backend, logits, 0, ROWS)));
                }
                for (int i = 0; i < 8; i++) {
                    byte[][] outputs = together.get(i).get();
                    for (int k = 0; k < outputs.length; k++) {
                        assertArrayEquals(alone.get(i)[k], outputs[k]);
                    }
                }
            }
        }
    }

    /** What an operation puts out for some of the rows, as bytes. */
    private interface Operation {
        byte[][] run(int from, int to);
    }

    private static void assertSameAnyway(int rows, Operation operation) {
        Logratio.setThreads(1);
        assertEquals(1, Logratio.threads());
        byte[][] one = operation.run(0, rows);
        byte[][] again = operation.run(0, rows);
        Logratio.setThreads(2);
        assertEquals(2, Logratio.threads());
        byte[][] two = operation.run(0, rows);
        for (int i = 0; i < one.length; i++) {
            assertArrayEquals(one[i], again[i], "second run");
            assertArrayEquals(one[i], two[i], "two threads");
        }
        for (int row : new int[] {0, rows / 2, rows - 1}) {
            byte[][] alone = operation.run(row, row + 1);
            for (int i = 0; i < one.length; i++) {
                int bytesPerRow = one[i].length / rows;
                byte[] within =
                        Arrays.copyOfRange(one[i], row * bytesPerRow, (row + 1) * bytesPerRow);
                assertArrayEquals(within, alone[i], "row " + row + " alone");
            }
        }
    }

    private static Tensor random(Arena arena, DType dtype, int rows, long seed) {
        Random random = new Random(seed);
        Tensor logits = Tensor.zeros(arena, dtype, rows, VOCABULARY);
        for (int n = 0; n < rows; n++) {
            for (int k = 0; k < VOCABULARY; k++) {
                logits.setDouble(4 * random.nextGaussian(), n, k);
            }
        }
        return logits;
    }

    /** The bytes of every output for some rows of the logits. */
    private static byte[][] run(Backend backend, Tensor allLogits, int from, int to) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = allLogits.slice(0, from, to);
            int rows = to - from;
            Tensor labels = Tensor.zeros(arena, DType.I64, rows);
            for (int n = 0; n < rows; n++) {
                labels.setLong(1000L * (from + n) + 3, n);
            }
            Tensor[] out = new Tensor[6];
            for (int i = 0; i < 5; i++) {
                out[i] = Tensor.zeros(arena, DType.F64, rows);
            }
            out[5] = Tensor.zeros(arena, logits.dtype(), logits.shape());
            TokenLogprobs.of(logits, labels)
                    .logp(out[0])
                    .lse(out[1])
                    .lse2(out[2])
                    .entropy(out[3])
                    .meanLogit(out[4])
                    .run(backend);
            TokenLogprobsBackward.of(logits, labels, out[1])
                    .entropy(out[3])
                    .gradLogp(Tensor.zeros(arena, DType.F64, rows).fill(.7))
                    .gradEntropy(Tensor.zeros(arena, DType.F64, rows).fill(-.2))
                    .gradLogits(out[5])
                    .run(backend);
            return bytes(out);
        }
    }

    /** Values of rows, and gradients of their logits. */
    private static Tensor[] outputs(Arena arena, int rows, int gradients) {
        Tensor[] out = new Tensor[1 + gradients];
        out[0] = Tensor.zeros(arena, DType.F64, rows);
        for (int i = 1; i < out.length; i++) {
            out[i] = Tensor.zeros(arena, DType.F32, rows, VOCABULARY);
        }
        return out;
    }

    private static byte[][] bytes(Tensor[] tensors) {
        return Arrays.stream(tensors).map(DeterminismTest::bytes).toArray(byte[][]::new);
    }

    private static byte[] bytes(Tensor tensor) {
        return tensor.segment().toArray(ValueLayout.JAVA_BYTE);
    }

    /** Metrics and a digest of the gradient of a step. */
    private static List<Object> step(Backend backend, Tensor logits) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor labels = Tensor.zeros(arena, DType.I64, 2, ROWS / 2).fill(17);
            Tensor gradient = Tensor.zeros(arena, logits.dtype(), 2, ROWS / 2, VOCABULARY);
            StepMetrics metrics =
                    PreferenceStep.of(new Dlrml(), logits.reshape(2, ROWS / 2, VOCABULARY), labels)
                            .referenceFree()
                            .gradLogits(gradient)
                            .run(backend);
            return List.of(metrics, Arrays.hashCode(bytes(gradient)));
        }
    }

    /** The same of a step of five examples. */
    private static List<Object> stepOfExamples(Backend backend, Tensor logits) {
        try (Arena arena = Arena.ofConfined()) {
            int examples = ROWS / 2;
            Tensor labels = Tensor.zeros(arena, DType.I64, examples, 2).fill(17);
            Tensor gradient = Tensor.zeros(arena, logits.dtype(), examples, 2, VOCABULARY);
            boolean[] chosen = {true, false, false, true, false};
            UnpairedStepMetrics metrics =
                    UnpairedStep.of(
                                    new Kto(),
                                    logits.reshape(examples, 2, VOCABULARY),
                                    labels,
                                    Tensor.of(arena, chosen, examples))
                            .referenceLogps(Tensor.zeros(arena, DType.F32, examples).fill(-20))
                            .gradLogits(gradient)
                            .run(backend);
            return List.of(metrics, Arrays.hashCode(bytes(gradient)));
        }
    }
}
