package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.loss.Dlrml;
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
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The same bits for any number of threads, any batch around a row, any run, and any calls beside it. */
class DeterminismTest {
    private static final int VOCABULARY = 40_009;
    private static final int ROWS = 10;

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
        return TestBackends.natives().flatMap(
                backend -> Stream.of(DType.F32, DType.BF16, DType.F16).map(dtype -> arguments(backend, dtype)));
    }

    static Stream<Arguments> steps() {
        return TestBackends.all()
                .filter(backend -> backend != Backend.reference())
                .flatMap(backend -> Stream.of(DType.F32, DType.BF16).map(dtype -> arguments(backend, dtype)));
    }

    @ParameterizedTest
    @MethodSource("rows")
    void threadsBatchesAndRuns(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, dtype, 1);
            Logratio.setThreads(1);
            assertEquals(1, Logratio.threads());
            byte[][] one = run(backend, logits, 0, ROWS);
            byte[][] again = run(backend, logits, 0, ROWS);
            Logratio.setThreads(2);
            assertEquals(2, Logratio.threads());
            byte[][] two = run(backend, logits, 0, ROWS);
            for (int i = 0; i < one.length; i++) {
                assertArrayEquals(one[i], again[i], "second run");
                assertArrayEquals(one[i], two[i], "two threads");
                int bytesPerRow = one[i].length / ROWS;
                for (int row : new int[] {0, 7, ROWS - 1}) {
                    byte[] alone = run(backend, logits, row, row + 1)[i];
                    byte[] within = Arrays.copyOfRange(one[i], row * bytesPerRow, (row + 1) * bytesPerRow);
                    assertArrayEquals(within, alone, "row " + row + " alone");
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("steps")
    void wholeSteps(Backend backend, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = random(arena, dtype, 2);
            Logratio.setThreads(1);
            List<Object> one = step(backend, logits);
            Logratio.setThreads(2);
            assertEquals(one, step(backend, logits));
            assertEquals(one, step(backend, logits));
        }
    }

    /** Eight threads, each with its own tensors, get what they get alone. */
    @ParameterizedTest
    @MethodSource("rows")
    void concurrentCalls(Backend backend, DType dtype) throws Exception {
        Logratio.setThreads(2);
        try (Arena arena = Arena.ofShared(); ExecutorService executor = Executors.newFixedThreadPool(8)) {
            List<Tensor> inputs = new ArrayList<>();
            List<byte[][]> alone = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                inputs.add(random(arena, dtype, 100 + i));
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

    private static Tensor random(Arena arena, DType dtype, long seed) {
        Random random = new Random(seed);
        Tensor logits = Tensor.zeros(arena, dtype, ROWS, VOCABULARY);
        for (int n = 0; n < ROWS; n++) {
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
                    .logp(out[0]).lse(out[1]).lse2(out[2]).entropy(out[3]).meanLogit(out[4]).run(backend);
            TokenLogprobsBackward.of(logits, labels, out[1])
                    .entropy(out[3])
                    .gradLogp(Tensor.zeros(arena, DType.F64, rows).fill(.7))
                    .gradEntropy(Tensor.zeros(arena, DType.F64, rows).fill(-.2))
                    .gradLogits(out[5])
                    .run(backend);
            byte[][] bytes = new byte[out.length][];
            for (int i = 0; i < out.length; i++) {
                bytes[i] = bytes(out[i]);
            }
            return bytes;
        }
    }

    private static byte[] bytes(Tensor tensor) {
        return tensor.segment().toArray(ValueLayout.JAVA_BYTE);
    }

    /** Metrics and a digest of the gradient of a step. */
    private static List<Object> step(Backend backend, Tensor logits) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor labels = Tensor.zeros(arena, DType.I64, 2, ROWS / 2).fill(17);
            Tensor gradient = Tensor.zeros(arena, logits.dtype(), 2, ROWS / 2, VOCABULARY);
            StepMetrics metrics = PreferenceStep.of(new Dlrml(), logits.reshape(2, ROWS / 2, VOCABULARY), labels)
                    .gradLogits(gradient)
                    .run(backend);
            return List.of(metrics, Arrays.hashCode(bytes(gradient)));
        }
    }
}
