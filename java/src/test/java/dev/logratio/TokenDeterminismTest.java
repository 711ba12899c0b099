package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/** The log-probs of tokens and their gradient have the same bits, with all that rows may have. */
class TokenDeterminismTest extends SameBits {
    static Stream<Arguments> rows() {
        return TestBackends.natives()
                .flatMap(
                        backend ->
                                Stream.of(DType.F32, DType.BF16, DType.F16)
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
                    ROWS, (from, to) -> run(backend, logits, from, to, TokenDeterminismTest::kept));
        }
    }

    /** The first row keeps all columns, others keep fewer, and every fourth very few. */
    private static IntStream kept(int row) {
        return row % 4 == 3
                ? IntStream.range(100, 150)
                : IntStream.iterate(0, k -> k < VOCABULARY, k -> k + 1 + row % 4);
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
}
