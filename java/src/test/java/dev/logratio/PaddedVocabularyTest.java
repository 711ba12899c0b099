package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/**
 * Columns from {@code vocab} on are padding: whatever stands there, results are those of the slice
 * before it, to the bit, and the gradient there is 0.
 */
class PaddedVocabularyTest {
    private static final long IGNORED = -100;

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** Rows of which the first {@code vocab} columns are those of {@code slice}. */
    private record Rows(Tensor padded, Tensor slice) {
        static Rows random(Arena arena, DType dtype, int columns, int vocab, long... shape) {
            Random random = new Random(columns);
            long[] wide = Arrays.copyOf(shape, shape.length + 1);
            wide[shape.length] = columns;
            Tensor padded = Tensor.zeros(arena, dtype, wide);
            long[] narrow = wide.clone();
            narrow[shape.length] = vocab;
            double[] values = new double[(int) padded.elementCount()];
            double[] kept = new double[values.length / columns * vocab];
            for (int i = 0; i < values.length; i++) {
                int column = i % columns;
                values[i] = column < vocab ? 3 * random.nextGaussian() : Double.NaN;
                if (column == vocab || column > vocab && random.nextInt(3) == 0) {
                    values[i] = random.nextBoolean() ? 1e4 : Double.POSITIVE_INFINITY;
                }
                if (column < vocab) {
                    kept[i / columns * vocab + column] = values[i];
                }
            }
            return new Rows(
                    Tensor.of(arena, dtype, values, wide), Tensor.of(arena, dtype, kept, narrow));
        }
    }

    /** The bits of all that the two operations give, the gradient's padding aside. */
    private static List<double[]> tokens(
            Backend backend, Arena arena, Tensor logits, TokenOptions options, boolean inPlace) {
        int rows = (int) logits.size(0);
        Tensor labels = Tensor.of(arena, new long[] {2, IGNORED, 0}, rows);
        List<Tensor> outputs = new ArrayList<>();
        for (int k = 0; k < 5; k++) {
            outputs.add(Tensor.zeros(arena, DType.F64, rows));
        }
        Tensor argmax = Tensor.zeros(arena, DType.I64, rows);
        TokenLogprobs.of(logits, labels)
                .tokenOptions(options)
                .logp(outputs.get(0))
                .lse(outputs.get(1))
                .lse2(outputs.get(2))
                .entropy(outputs.get(3))
                .meanLogit(outputs.get(4))
                .argmax(argmax)
                .run(backend);
        Tensor own = Tensor.zeros(arena, logits.dtype(), logits.shape()).copyFrom(logits);
        Tensor gradient =
                inPlace
                        ? own
                        : Tensor.zeros(arena, logits.dtype(), logits.shape()).fill(Double.NaN);
        TokenLogprobsBackward.of(own, labels, outputs.get(1))
                .tokenOptions(options)
                .entropy(outputs.get(3))
                .gradLogp(Tensor.of(arena, DType.F64, new double[] {1, 1, -2}, rows))
                .gradEntropy(Tensor.of(arena, DType.F64, new double[] {.5, 1, 0}, rows))
                .gradLse(Tensor.of(arena, DType.F64, new double[] {.25, 1, .75}, rows))
                .gradLogits(gradient)
                .run(backend);
        List<double[]> all = new ArrayList<>();
        outputs.forEach(output -> all.add(output.toDoubles()));
        all.add(argmax.toDoubles());
        all.addAll(slices(gradient, logits, options));
        return all;
    }

    /** The columns of each row that take part; the others are 0. */
    private static List<double[]> slices(Tensor gradient, Tensor logits, TokenOptions options) {
        int columns = (int) logits.size(logits.rank() - 1);
        int vocab = options.vocab() == 0 ? columns : (int) options.vocab();
        double[] values = gradient.toDoubles();
        List<double[]> slices = new ArrayList<>();
        for (int start = 0; start < values.length; start += columns) {
            slices.add(Arrays.copyOfRange(values, start, start + vocab));
            assertArrayEquals(
                    new double[columns - vocab],
                    Arrays.copyOfRange(values, start + vocab, start + columns),
                    "padding");
        }
        return slices;
    }

    private static void equal(List<double[]> expected, List<double[]> actual, String what) {
        assertEquals(expected.size(), actual.size(), what);
        for (int k = 0; k < expected.size(); k++) {
            assertArrayEquals(expected.get(k), actual.get(k), what + ", " + k);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void tokenLogprobs(Backend backend) {
        int[][] sizes = {{5, 3}, {128, 121}, {2051, 2048}, {5003, 4999}, {66_000, 65_537}};
        for (int[] size : sizes) {
            for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
                try (Arena arena = Arena.ofShared()) {
                    Rows rows = Rows.random(arena, dtype, size[0], size[1], 3);
                    for (double softcap : new double[] {0, 20}) {
                        TokenOptions options = new TokenOptions(IGNORED, 1.1, softcap);
                        String what = backend.name() + " " + dtype + " " + size[0] + " " + softcap;
                        List<double[]> expected =
                                tokens(backend, arena, rows.slice(), options, false);
                        TokenOptions padded = options.withVocab(size[1]);
                        equal(expected, tokens(backend, arena, rows.padded(), padded, false), what);
                        equal(
                                expected,
                                tokens(backend, arena, rows.padded(), padded, true),
                                what + " in place");
                    }
                }
            }
        }
    }

    /** All columns by name are all columns. */
    @ParameterizedTest
    @MethodSource("backends")
    void everyColumn(Backend backend) {
        try (Arena arena = Arena.ofShared()) {
            Rows rows = Rows.random(arena, DType.F32, 40, 40, 3);
            equal(
                    tokens(backend, arena, rows.padded(), TokenOptions.DEFAULT, false),
                    tokens(
                            backend,
                            arena,
                            rows.padded(),
                            TokenOptions.DEFAULT.withVocab(40),
                            false),
                    "vocab 40");
        }
    }

    /** On a device the order in which the norm is added up depends on where rows lie in memory. */
    @ParameterizedTest
    @MethodSource("backends")
    void preferenceStep(Backend backend) {
        for (int[] size : new int[][] {{70, 61}, {6000, 5003}}) {
            try (Arena arena = Arena.ofShared()) {
                Rows rows = Rows.random(arena, DType.BF16, size[0], size[1], 4, 3);
                List<double[]> expected = step(backend, arena, rows.slice(), TokenOptions.DEFAULT);
                TokenOptions options = TokenOptions.DEFAULT.withVocab(size[1]);
                List<double[]> actual = step(backend, arena, rows.padded(), options);
                double norm = expected.removeLast()[0];
                assertEquals(norm, actual.removeLast()[0], 1e-7 * norm, "norm");
                equal(expected, actual, "step");
            }
        }
    }

    private static List<double[]> step(
            Backend backend, Arena arena, Tensor logits, TokenOptions options) {
        Tensor labels =
                Tensor.of(arena, new long[] {0, 1, 2, 3, IGNORED, 5, 6, 7, 8, 9, 10, 1}, 4, 3);
        Tensor mask = Tensor.zeros(arena, DType.F32, 4, 3).fill(1);
        mask.setDouble(0, 1, 2);
        Tensor losses = Tensor.zeros(arena, DType.F64, 2);
        Tensor logps = Tensor.zeros(arena, DType.F64, 4);
        Tensor gradient = Tensor.zeros(arena, logits.dtype(), logits.shape()).fill(Double.NaN);
        StepMetrics metrics =
                PreferenceStep.of(new Sigmoid(), logits, labels)
                        .tokenOptions(options)
                        .mask(mask)
                        .referenceLogps(
                                Tensor.of(arena, DType.F64, new double[] {-9, -8, -7, -6}, 4))
                        .losses(losses)
                        .logps(logps)
                        .gradLogits(gradient)
                        .run(backend);
        List<double[]> all = new ArrayList<>();
        all.add(losses.toDoubles());
        all.add(logps.toDoubles());
        all.add(
                new double[] {
                    metrics.loss(),
                    metrics.entropy(),
                    metrics.tokenAccuracy(),
                    metrics.logitsChosen(),
                    metrics.logitsRejected(),
                    metrics.nonfinite()
                });
        all.addAll(slices(gradient, logits, options));
        all.add(new double[] {metrics.gradNorm()});
        return all;
    }
}
