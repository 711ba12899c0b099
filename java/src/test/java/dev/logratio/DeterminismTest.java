package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.WeightedLoss;

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
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
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

    /** In every other row the labels hold nearly all, so that the rest is summed for the tail. */
    @ParameterizedTest
    @MethodSource("rows")
    void severalLabels(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, dtype, FEW_ROWS, 6);
            Tensor labels = Tensor.zeros(arena, DType.I64, FEW_ROWS, 3);
            for (int n = 0; n < FEW_ROWS; n++) {
                for (int k = 0; k < 3; k++) {
                    long label = 39_000 - 17_001L * k;
                    labels.setLong(label, n, k);
                    logits.setDouble(n % 2 == 0 ? 25 + k : -k, n, label);
                }
            }
            assertSameAnyway(
                    FEW_ROWS,
                    (from, to) -> severalLabels(backend, arena, logits, labels, from, to));
        }
    }

    private static byte[][] severalLabels(
            Backend backend, Arena arena, Tensor logits, Tensor labels, int from, int to) {
        int rows = to - from;
        Tensor[] out = {
            Tensor.zeros(arena, DType.F64, rows, 3),
            Tensor.zeros(arena, DType.F64, rows),
            Tensor.zeros(arena, DType.F64, rows),
            Tensor.zeros(arena, logits.dtype(), rows, VOCABULARY)
        };
        Tensor ofRows = labels.slice(0, from, to);
        TokenLogprobs.of(logits.slice(0, from, to), ofRows)
                .logp(out[0])
                .lse(out[1])
                .tail(out[2])
                .run(backend);
        TokenLogprobsBackward.of(logits.slice(0, from, to), ofRows, out[1])
                .tail(out[2])
                .gradLogp(Tensor.zeros(arena, DType.F64, rows, 3).fill(.7))
                .gradTail(Tensor.zeros(arena, DType.F64, rows).fill(-.2))
                .gradLogits(out[3])
                .run(backend);
        return bytes(out);
    }

    @ParameterizedTest
    @MethodSource("rows")
    void keptColumns(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, dtype, ROWS, 6);
            assertSameAnyway(
                    ROWS, (from, to) -> run(backend, logits, from, to, DeterminismTest::kept));
        }
    }

    /** Of the first row all columns, of others fewer, and of every fourth very few. */
    private static IntStream kept(int row) {
        return row % 4 == 3
                ? IntStream.range(100, 150)
                : IntStream.iterate(0, k -> k < VOCABULARY, k -> k + 1 + row % 4);
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

    @ParameterizedTest
    @MethodSource("dev.logratio.TestBackends#natives")
    void divergencesFromTeachers(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor p = random(arena, DType.F32, FEW_ROWS, 3);
            Tensor first = random(arena, DType.F32, FEW_ROWS, 4);
            Tensor second = random(arena, DType.F32, FEW_ROWS, 5);
            long known = 3;
            Tensor ids = Tensor.zeros(arena, DType.I64, FEW_ROWS, known);
            Tensor logps = Tensor.zeros(arena, DType.F32, FEW_ROWS, known).fill(-2);
            for (long row = 0; row < FEW_ROWS; row++) {
                for (long j = 0; j < known; j++) {
                    ids.setLong((row + j * j) % p.size(1), row, j);
                }
            }
            DivergenceOptions options =
                    DivergenceOptions.of(DivergenceKind.JS)
                            .withJsWeight(.2)
                            .withReduction(DivergenceOptions.Reduction.SUM);
            assertSameAnyway(
                    FEW_ROWS,
                    (from, to) -> {
                        Tensor[] out = outputs(arena, to - from, 2);
                        Tensor q = Tensor.zeros(arena, DType.F32, 2, to - from, p.size(1));
                        q.select(0, 0).copyFrom(first.slice(0, from, to));
                        q.select(0, 1).copyFrom(second.slice(0, from, to));
                        Divergence.ofModels(
                                        p.slice(0, from, to),
                                        q,
                                        Tensor.of(arena, DType.F64, new double[] {1, 2}, 2))
                                .options(options)
                                .values(out[0])
                                .gradP(out[1])
                                .run(backend);
                        Divergence.ofTopk(
                                        p.slice(0, from, to),
                                        ids.slice(0, from, to),
                                        logps.slice(0, from, to))
                                .options(options)
                                .gradP(out[2])
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
        return run(backend, allLogits, from, to, null);
    }

    /** The same of the columns that each row keeps; null: all. */
    private static byte[][] run(
            Backend backend, Tensor allLogits, int from, int to, IntFunction<IntStream> kept) {
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
            TokenLogprobs forward =
                    TokenLogprobs.of(logits, labels)
                            .logp(out[0])
                            .lse(out[1])
                            .lse2(out[2])
                            .entropy(out[3])
                            .meanLogit(out[4]);
            TokenLogprobsBackward backward =
                    TokenLogprobsBackward.of(logits, labels, out[1])
                            .entropy(out[3])
                            .gradLogp(Tensor.zeros(arena, DType.F64, rows).fill(.7))
                            .gradEntropy(Tensor.zeros(arena, DType.F64, rows).fill(-.2))
                            .gradLogits(out[5]);
            if (kept != null) {
                long[] ends = new long[rows + 1];
                long[] all = new long[0];
                for (int n = 0; n < rows; n++) {
                    LongStream ofRow = kept.apply(from + n).asLongStream();
                    all = LongStream.concat(Arrays.stream(all), ofRow).toArray();
                    ends[n + 1] = all.length;
                }
                Tensor offsets = Tensor.of(arena, ends, ends.length);
                Tensor ids = Tensor.of(arena, all, all.length);
                forward.keptOffsets(offsets).keptIds(ids);
                backward.keptOffsets(offsets).keptIds(ids);
            }
            forward.run(backend);
            backward.run(backend);
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

    /** Metrics and digests of the gradient of a step, and of one with an NLL of its own. */
    private static List<Object> step(Backend backend, Tensor logits) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor covered = Tensor.zeros(arena, DType.F32, 2, ROWS / 2);
            for (int t = 0; t < ROWS / 2; t++) {
                covered.setDouble(t % 3, 0, t);
            }
            List<WeightedLoss> terms =
                    List.of(
                            new WeightedLoss(new Dlrml(), 1),
                            new WeightedLoss(new Orpo(.1, Nll.TOKEN), .5));
            Tensor weights = Tensor.zeros(arena, DType.F64, 1).fill(1.7);
            Tensor labels = Tensor.zeros(arena, DType.I64, 2, ROWS / 2).fill(17);
            Tensor gradient = Tensor.zeros(arena, logits.dtype(), 2, ROWS / 2, VOCABULARY);
            StepMetrics metrics =
                    PreferenceStep.of(new Dlrml(), logits.reshape(2, ROWS / 2, VOCABULARY), labels)
                            .referenceFree()
                            .gradLogits(gradient)
                            .run(backend);
            int digest = Arrays.hashCode(bytes(gradient));
            StepMetrics ofTerms =
                    PreferenceStep.of(terms, logits.reshape(2, ROWS / 2, VOCABULARY), labels)
                            .referenceFree()
                            .pairWeights(weights)
                            .nllMask(covered)
                            .gradLogits(gradient)
                            .run(backend);
            return List.of(metrics, digest, ofTerms, Arrays.hashCode(bytes(gradient)));
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
