package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Kept columns beside an upstream gradient of lse, and beside a padded vocabulary. */
class KeptBesideTest {
    private static final long IGNORED = -100;
    private static final int[][] KEPT = {{0, 2, 3}, {1, 2, 4}, {0, 4}, {3}};
    private static final long[] LABELS = {2, 3, IGNORED, 3}; // the second is outside
    private static final double[] G = {-.4, 2, 1, .5};
    private static final double[] H = {.3, -.7, 1, .2};
    private static final double[] M = {1.7, -.6, 3, 2};

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** Every figure of a forward, F64, and the gradient by what is upstream; null is none. */
    private record Run(List<double[]> figures, double[] gradient) {
        static Run of(
                Backend backend,
                Arena arena,
                Tensor logits,
                long[] labels,
                TokenOptions options,
                int[][] kept,
                boolean inPlace,
                double[]... upstream) {
            int rows = labels.length;
            Tensor ofRows = Tensor.of(arena, labels, rows);
            long[] ends = new long[rows + 1];
            for (int r = 0; r < rows; r++) {
                ends[r + 1] = ends[r] + kept[r].length;
            }
            Tensor offsets = Tensor.of(arena, ends, ends.length);
            long[] all = Arrays.stream(kept).flatMapToInt(IntStream::of).asLongStream().toArray();
            Tensor ids = Tensor.of(arena, all, all.length);
            Tensor[] out = new Tensor[5];
            Arrays.setAll(out, i -> Tensor.zeros(arena, DType.F64, rows));
            Tensor argmax = Tensor.zeros(arena, DType.I64, rows);
            Tensor outside = Tensor.zeros(arena, DType.I64, 1);
            TokenLogprobs.of(logits, ofRows)
                    .tokenOptions(options)
                    .logp(out[0])
                    .lse(out[1])
                    .lse2(out[2])
                    .entropy(out[3])
                    .meanLogit(out[4])
                    .argmax(argmax)
                    .keptOffsets(offsets)
                    .keptIds(ids)
                    .outside(outside)
                    .run(backend);
            Tensor own = Tensor.zeros(arena, logits.dtype(), logits.shape()).copyFrom(logits);
            Tensor gradient = own;
            if (!inPlace) {
                gradient = Tensor.zeros(arena, logits.dtype(), logits.shape()).fill(Double.NaN);
            }
            TokenLogprobsBackward call =
                    TokenLogprobsBackward.of(own, ofRows, out[1])
                            .tokenOptions(options)
                            .keptOffsets(offsets)
                            .keptIds(ids)
                            .gradLse(Tensor.of(arena, DType.F64, upstream[2], rows))
                            .gradLogits(gradient);
            if (upstream[0] != null) {
                call.gradLogp(Tensor.of(arena, DType.F64, upstream[0], rows));
            }
            if (upstream[1] != null) {
                call.entropy(out[3]).gradEntropy(Tensor.of(arena, DType.F64, upstream[1], rows));
            }
            call.run(backend);
            List<double[]> figures = new ArrayList<>();
            for (Tensor tensor : out) {
                figures.add(tensor.toDoubles());
            }
            figures.add(argmax.toDoubles());
            figures.add(outside.toDoubles());
            return new Run(figures, gradient.toDoubles());
        }
    }

    /** d (g logp + h entropy + m lse) / d logits of one row, term by term. */
    private static double[] expected(
            double[] logits, int[] kept, long label, double g, double h, double m, double t) {
        double[] gradient = new double[logits.length];
        if (label == IGNORED) {
            return gradient;
        }
        double sum = Arrays.stream(kept).mapToDouble(k -> Math.exp(logits[k] / t)).sum();
        double entropy = 0;
        for (int k : kept) {
            double p = Math.exp(logits[k] / t) / sum;
            entropy -= p * Math.log(p);
        }
        boolean isKept = Arrays.stream(kept).anyMatch(k -> k == label);
        for (int k : kept) {
            double p = Math.exp(logits[k] / t) / sum;
            double ofLogp = isKept ? (k == label ? 1 : 0) - p : 0;
            gradient[k] = (g * ofLogp - h * p * (Math.log(p) + entropy) + m * p) / t;
        }
        return gradient;
    }

    /** A label outside leaves its row what comes by lse and entropy. */
    @ParameterizedTest
    @MethodSource("backends")
    void gradientOfLse(Backend backend) {
        double[] logits = new Random(4).doubles(20, -2, 2).map(x -> (float) x).toArray();
        for (double temperature : new double[] {1, .7}) {
            TokenOptions options = TokenOptions.DEFAULT.withTemperature(temperature);
            for (double[][] upstream :
                    new double[][][] {{null, null, M}, {G, null, M}, {null, H, M}, {G, H, M}}) {
                double[] expected = new double[logits.length];
                for (int r = 0; r < KEPT.length; r++) {
                    double[] ofRow =
                            expected(
                                    Arrays.copyOfRange(logits, 5 * r, 5 * r + 5),
                                    KEPT[r],
                                    LABELS[r],
                                    upstream[0] == null ? 0 : G[r],
                                    upstream[1] == null ? 0 : H[r],
                                    M[r],
                                    temperature);
                    System.arraycopy(ofRow, 0, expected, 5 * r, 5);
                }
                for (boolean inPlace : new boolean[] {false, true}) {
                    try (Arena arena = Arena.ofShared()) {
                        Tensor rows = Tensor.of(arena, DType.F32, logits, 4, 5);
                        Run run =
                                Run.of(
                                        backend, arena, rows, LABELS, options, KEPT, inPlace,
                                        upstream);
                        Expect.asPromised("gradient", DType.F32, expected, run.gradient);
                    }
                }
            }
        }
    }

    /** Equal upstreams of logp and lse leave the label's 1 alone, where it is kept. */
    @ParameterizedTest
    @MethodSource("backends")
    void whatCancels(Backend backend) {
        try (Arena arena = Arena.ofShared()) {
            double[] one = {1};
            Tensor row = Tensor.of(arena, DType.F32, new double[] {1, 0, -1, 2}, 1, 4);
            int[][] kept = {{0, 2, 3}};
            TokenOptions plain = TokenOptions.DEFAULT;
            Run run =
                    Run.of(backend, arena, row, new long[] {2}, plain, kept, false, one, null, one);
            Expect.asPromised("left", DType.F32, new double[] {0, 0, 1, 0}, run.gradient);
        }
    }

    /** Whatever stands in padding, results are those of the slice before it, to the bit. */
    @ParameterizedTest
    @MethodSource("backends")
    void paddedVocabulary(Backend backend) {
        Random random = new Random(5);
        int[][] sizes = {{7, 5}, {128, 121}, {2051, 2048}, {5003, 4999}, {66_000, 65_537}};
        for (int[] size : sizes) {
            int columns = size[0];
            int vocab = size[1];
            int[][] kept = new int[4][];
            Arrays.setAll(
                    kept,
                    r ->
                            IntStream.range(0, vocab)
                                    .filter(k -> k == r || k != 3 && random.nextInt(r + 1) == 0)
                                    .toArray());
            double[] narrow = random.doubles(4L * vocab, -5, 5).toArray();
            double[] wide = new double[4 * columns];
            for (int i = 0; i < wide.length; i++) {
                int column = i % columns;
                double padding = random.nextBoolean() ? Double.NaN : 1e4;
                wide[i] = column < vocab ? narrow[i / columns * vocab + column] : padding;
            }
            for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
                for (double softcap : new double[] {0, 20}) {
                    try (Arena arena = Arena.ofShared()) {
                        Tensor slice = Tensor.of(arena, dtype, narrow, 4, vocab);
                        Tensor padded = Tensor.of(arena, dtype, wide, 4, columns);
                        TokenOptions options = new TokenOptions(IGNORED, 1.1, softcap);
                        TokenOptions limited = options.withVocab(vocab);
                        Run expected =
                                Run.of(
                                        backend, arena, slice, LABELS, options, kept, false, G, H,
                                        M);
                        for (boolean inPlace : new boolean[] {false, true}) {
                            Run actual =
                                    Run.of(
                                            backend, arena, padded, LABELS, limited, kept, inPlace,
                                            G, H, M);
                            requireEqual(expected, actual, columns, vocab, dtype + " " + columns);
                        }
                    }
                }
            }
        }
    }

    private static void requireEqual(
            Run expected, Run actual, int columns, int vocab, String what) {
        for (int i = 0; i < expected.figures.size(); i++) {
            assertArrayEquals(expected.figures.get(i), actual.figures.get(i), what + ", " + i);
        }
        for (int r = 0; r < LABELS.length; r++) {
            int start = r * columns;
            assertArrayEquals(
                    Arrays.copyOfRange(expected.gradient, r * vocab, (r + 1) * vocab),
                    Arrays.copyOfRange(actual.gradient, start, start + vocab),
                    what + ", gradient of row " + r);
            assertArrayEquals(
                    new double[columns - vocab],
                    Arrays.copyOfRange(actual.gradient, start + vocab, start + columns),
                    what + ", padding of row " + r);
        }
    }

    @Test
    void theReferencesGradientIsASlope() {
        Backend reference = Backend.reference();
        TokenOptions options = new TokenOptions(IGNORED, .8, 3).withVocab(5);
        double[] logits = new Random(6).doubles(28, -2, 2).toArray();
        double[] slopes =
                FiniteDifference.gradient(
                        at -> {
                            try (Arena arena = Arena.ofShared()) {
                                Tensor rows = Tensor.of(arena, DType.F64, at, 4, 7);
                                Run moved =
                                        Run.of(
                                                reference, arena, rows, LABELS, options, KEPT,
                                                false, G, H, M);
                                double sum = 0;
                                for (int r = 0; r < LABELS.length; r++) {
                                    double logp = r == 1 ? 0 : moved.figures.get(0)[r];
                                    boolean counts = LABELS[r] != IGNORED;
                                    double entropy = moved.figures.get(3)[r];
                                    double lse = moved.figures.get(1)[r];
                                    sum += counts ? G[r] * logp + H[r] * entropy + M[r] * lse : 0;
                                }
                                return sum;
                            }
                        },
                        logits,
                        1e-3);
        try (Arena arena = Arena.ofShared()) {
            Tensor rows = Tensor.of(arena, DType.F64, logits, 4, 7);
            Run run = Run.of(reference, arena, rows, LABELS, options, KEPT, false, G, H, M);
            Expect.near("gradient", slopes, run.gradient, 1e-8, 1e-9);
        }
    }
}
