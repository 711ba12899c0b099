package dev.logratio;

import static dev.logratio.LabelsRow.IGNORED;
import static dev.logratio.LabelsRow.INFINITY;
import static dev.logratio.LabelsRow.filled;
import static dev.logratio.LabelsRow.rounded;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.LabelsRun.Upstream;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;

/** Several labels per row; {@link LabelsTailTest} has the tail that they leave. */
class SeveralLabelsTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    private static double[] random(int seed, int count, double scale) {
        Random random = new Random(seed);
        double[] values = new double[count];
        Arrays.setAll(values, i -> scale * random.nextGaussian());
        return rounded(values);
    }

    // ---- Against the definitions ----

    @ParameterizedTest
    @MethodSource("backends")
    void oneRow(Backend backend) {
        double[] logits = random(1, 11, 1.5);
        long[][] all = {{3, 0, 10}, {7, IGNORED, 2}, {IGNORED, IGNORED, 5}};
        for (TokenOptions options :
                new TokenOptions[] {
                    TokenOptions.DEFAULT,
                    TokenOptions.DEFAULT.withTemperature(.6),
                    new TokenOptions(IGNORED, 1.2, 2.5)
                }) {
            for (long[] labels : all) {
                for (int part = 0; part < 5; part++) {
                    double[] g = part == 0 || part == 4 ? new double[] {.7, -1.3, 2} : null;
                    double h = part == 1 || part == 4 ? .8 : 0;
                    double m = part == 2 || part == 4 ? -.9 : 0;
                    double t = part == 3 || part == 4 ? 1.1 : 0;
                    try (Arena arena = Arena.ofConfined()) {
                        LabelsRun run =
                                LabelsRun.run(
                                        backend,
                                        Tensor.of(arena, DType.F32, logits, 1, 11),
                                        Tensor.of(arena, labels, 1, 3),
                                        options,
                                        new Upstream(
                                                g,
                                                h == 0 ? null : filled(h, 1),
                                                m == 0 ? null : filled(m, 1),
                                                t == 0 ? null : filled(t, 1)));
                        LabelsRow row = new LabelsRow(logits, labels, options);
                        double[] logps = new double[3];
                        for (int k = 0; k < 3; k++) {
                            boolean out = labels[k] == IGNORED;
                            logps[k] = out ? 0 : row.z[(int) labels[k]] - row.lse;
                        }
                        Expect.near("logp", logps, run.logp(), 1e-6, 1e-6);
                        Expect.near("tail", filled(row.tail, 1), run.tail(), 2e-6, 0);
                        Expect.asPromised(
                                "gradient " + part,
                                DType.F32,
                                row.gradient(labels, g == null ? new double[3] : g, h, m, t),
                                run.gradient());
                    }
                }
            }
        }
    }

    /** Sequences of rows, with labels and upstreams that lie across each other in memory. */
    @ParameterizedTest
    @MethodSource("backends")
    void sequencesAndStrides(Backend backend) {
        try (Arena arena = Arena.ofShared()) {
            double[] values = random(2, 2 * 3 * 130, 2);
            Tensor logits = Tensor.of(arena, DType.F32, values, 2, 3, 130);
            Tensor labels = Tensor.zeros(arena, DType.I32, 2, 3, 4);
            Tensor strided =
                    Tensor.wrap(
                            arena.allocate(4 * 1000, 64),
                            DType.I32,
                            new long[] {2, 3, 4},
                            new long[] {1, 40, 10});
            Random random = new Random(8);
            for (int b = 0; b < 2; b++) {
                for (int t = 0; t < 3; t++) {
                    long[] row = random.longs(0, 130).distinct().limit(4).toArray();
                    row[2] = b == 1 && t == 1 ? IGNORED : row[2];
                    for (int k = 0; k < 4; k++) {
                        labels.setLong(row[k], b, t, k);
                        strided.setLong(row[k], b, t, k);
                    }
                }
            }
            Upstream up = new Upstream(random(3, 24, 1), null, filled(.3, 6), random(4, 6, 1));
            LabelsRun dense = LabelsRun.run(backend, logits, labels, TokenOptions.DEFAULT, up);
            LabelsRun loose = LabelsRun.run(backend, logits, strided, TokenOptions.DEFAULT, up);
            assertArrayEquals(dense.logp(), loose.logp());
            assertArrayEquals(dense.tail(), loose.tail());
            assertArrayEquals(dense.gradient(), loose.gradient());
            for (int r = 0; r < 6; r++) {
                double[] row = Arrays.copyOfRange(values, 130 * r, 130 * (r + 1));
                long[] ofRow = new long[4];
                for (int k = 0; k < 4; k++) {
                    ofRow[k] = labels.getLong(r / 3, r % 3, k);
                }
                LabelsRow expected = new LabelsRow(row, ofRow, TokenOptions.DEFAULT);
                double[] g = Arrays.copyOfRange(up.logp(), 4 * r, 4 * (r + 1));
                Expect.asPromised(
                        "row " + r,
                        DType.F32,
                        expected.gradient(ofRow, g, 0, .3, up.tail()[r]),
                        Arrays.copyOfRange(dense.gradient(), 130 * r, 130 * (r + 1)));
                Expect.near("tail", filled(expected.tail, 1), filled(dense.tail()[r], 1), 2e-6, 0);
            }
        }
    }

    /** Rows of several tiles and segments, and many labels, of which some are ignored. */
    @ParameterizedTest
    @MethodSource("backends")
    void longRows(Backend backend) {
        int[][] sizes = {{4000, 16}, {5003, 1024}, {70_001, 16}, {70_001, 256}};
        for (int[] size : sizes) {
            for (boolean holdMost : new boolean[] {false, true}) {
                int columns = size[0];
                int perRow = size[1];
                double[] logits = random(columns, columns, 2);
                Random random = new Random(perRow);
                long[] labels = random.longs(0, columns).distinct().limit(perRow).toArray();
                labels[perRow / 2] = IGNORED;
                for (int k = 0; holdMost && k < perRow; k++) {
                    if (labels[k] != IGNORED) {
                        logits[(int) labels[k]] += 11;
                    }
                }
                logits = rounded(logits);
                double[] g = random(5, perRow, 1);
                try (Arena arena = Arena.ofShared()) {
                    LabelsRun run =
                            LabelsRun.run(
                                    backend,
                                    Tensor.of(arena, DType.F32, logits, 1, columns),
                                    Tensor.of(arena, labels, 1, perRow),
                                    TokenOptions.DEFAULT,
                                    new Upstream(g, null, null, filled(1.5, 1)));
                    LabelsRow row = new LabelsRow(logits, labels, TokenOptions.DEFAULT);
                    assertEquals(holdMost, row.tail < -Math.log(2));
                    Expect.near("tail", filled(row.tail, 1), run.tail(), 3e-6, 0);
                    Expect.near(
                            "gradient",
                            row.gradient(labels, g, 0, 0, 1.5),
                            run.gradient(),
                            1e-5,
                            1e-7);
                }
            }
        }
    }

    // ---- One label ----

    @ParameterizedTest
    @MethodSource("backends")
    void oneLabelIsThePlainCall(Backend backend) {
        for (int columns : new int[] {7, 1025, 5003, 66_000}) {
            for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
                for (double softcap : new double[] {0, 20}) {
                    try (Arena arena = Arena.ofShared()) {
                        double[] values = random(columns, 4 * columns, 4);
                        values[2] = 60; // a certain label
                        values[3 * columns] = Double.NaN;
                        Tensor logits = Tensor.of(arena, dtype, values, 4, columns);
                        long[] labels = {2, IGNORED, 5, 1};
                        TokenOptions options = new TokenOptions(IGNORED, .9, softcap);
                        Upstream up =
                                new Upstream(
                                        random(1, 4, 1), random(2, 4, 1), random(3, 4, 1), null);
                        LabelsRun plain =
                                LabelsRun.run(
                                        backend, logits, Tensor.of(arena, labels, 4), options, up);
                        LabelsRun one =
                                LabelsRun.run(
                                        backend,
                                        logits,
                                        Tensor.of(arena, labels, 4, 1),
                                        options,
                                        up);
                        assertArrayEquals(plain.logp(), one.logp());
                        assertArrayEquals(plain.gradient(), one.gradient());
                        for (int k = 0; k < plain.figures().length; k++) {
                            assertArrayEquals(plain.figures()[k], one.figures()[k]);
                        }
                        double[] tail = one.tail();
                        assertEquals(0, tail[1]);
                        assertEquals(Math.log1p(-Math.exp(plain.logp()[2])), tail[2], 1e-6);
                        double left = -Math.expm1(plain.logp()[0]);
                        assertEquals(Math.log(left), tail[0], 1e-4);
                        assertTrue(Double.isNaN(tail[3]), Arrays.toString(tail));
                    }
                }
            }
        }
    }

    /** A label of probability 0 has logp -inf, and its column no gradient. */
    @ParameterizedTest
    @MethodSource("backends")
    void impossibleLabels(Backend backend) {
        double[] logits = {1, -INFINITY, 0, 2};
        long[] labels = {1, 3};
        try (Arena arena = Arena.ofConfined()) {
            Upstream up = new Upstream(new double[] {.5, -1}, null, null, filled(.7, 1));
            LabelsRun run =
                    LabelsRun.run(
                            backend,
                            Tensor.of(arena, DType.F32, logits, 1, 4),
                            Tensor.of(arena, labels, 1, 2),
                            TokenOptions.DEFAULT,
                            up);
            LabelsRow row = new LabelsRow(logits, labels, TokenOptions.DEFAULT);
            Expect.near("logp", new double[] {-INFINITY, 2 - row.lse}, run.logp(), 1e-6, 0);
            Expect.asPromised(
                    "gradient",
                    DType.F32,
                    row.gradient(labels, up.logp(), 0, 0, .7),
                    run.gradient());
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void ignoredAndBrokenRows(Backend backend) {
        double[] logits = {
            1,
            2,
            3,
            4, //
            Double.NaN,
            0,
            1,
            2, //
            -INFINITY,
            -INFINITY,
            -INFINITY,
            -INFINITY, //
            1,
            2,
            3,
            4
        };
        long[] labels = {IGNORED, IGNORED, 1, 2, IGNORED, 0, 3, 1};
        try (Arena arena = Arena.ofConfined()) {
            LabelsRun run =
                    LabelsRun.run(
                            backend,
                            Tensor.of(arena, DType.F32, logits, 4, 4),
                            Tensor.of(arena, labels, 4, 2),
                            TokenOptions.DEFAULT,
                            new Upstream(filled(1, 8), filled(1, 4), filled(1, 4), filled(1, 4)));
            assertArrayEquals(new double[2], Arrays.copyOf(run.logp(), 2));
            assertEquals(0, run.tail()[0]);
            assertEquals(run.lse()[3], run.lse()[0]);
            assertEquals(run.entropy()[3], run.entropy()[0]);
            assertArrayEquals(new double[4], Arrays.copyOf(run.gradient(), 4));
            for (int r : new int[] {1, 2}) {
                assertTrue(Double.isNaN(run.tail()[r]) && Double.isNaN(run.logp()[2 * r + 1]));
                for (int k = 0; k < 4; k++) {
                    assertTrue(Double.isNaN(run.gradient()[4 * r + k]));
                }
            }
            assertEquals(0, run.logp()[4]);
            assertTrue(Double.isFinite(run.tail()[3]) && Double.isFinite(run.gradient()[12]));
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void paddedVocabulary(Backend backend) {
        double[] padded = {1, 2, 0, -1, Double.NaN, INFINITY};
        try (Arena arena = Arena.ofConfined()) {
            Tensor labels = Tensor.of(arena, new long[] {1, 3}, 1, 2);
            Upstream up =
                    new Upstream(
                            new double[] {1, -2}, filled(.5, 1), filled(.25, 1), filled(1.5, 1));
            LabelsRun slice =
                    LabelsRun.run(
                            backend,
                            Tensor.of(arena, DType.F32, Arrays.copyOf(padded, 4), 1, 4),
                            labels,
                            TokenOptions.DEFAULT,
                            up);
            LabelsRun run =
                    LabelsRun.run(
                            backend,
                            Tensor.of(arena, DType.F32, padded, 1, 6),
                            labels,
                            TokenOptions.DEFAULT.withVocab(4),
                            up);
            assertArrayEquals(slice.logp(), run.logp());
            assertArrayEquals(slice.tail(), run.tail());
            assertArrayEquals(Arrays.copyOf(slice.gradient(), 6), run.gradient());
        }
    }

    // ---- Slopes ----

    @Test
    void theReferencesGradientsAreSlopes() {
        Backend reference = Backend.reference();
        Random random = new Random(5);
        double[] logits = random.doubles(12, -2, 2).toArray();
        long[] labels = {2, IGNORED, 0, 5, 1, 3};
        double[] g = {.7, 9, -1.1, .4, 1, -.2};
        try (Arena arena = Arena.ofShared()) {
            Tensor ofRows = Tensor.of(arena, labels, 2, 3);
            TokenOptions options = new TokenOptions(IGNORED, .8, 3);
            Upstream up = new Upstream(g, filled(.5, 2), filled(-.7, 2), new double[] {1.2, -.6});
            double[] slopes =
                    FiniteDifference.gradient(
                            at -> {
                                Tensor moved = Tensor.of(arena, DType.F64, at, 2, 6);
                                LabelsRun run =
                                        LabelsRun.run(reference, moved, ofRows, options, up);
                                double sum = 0;
                                for (int k = 0; k < 6; k++) {
                                    sum += g[k] * run.logp()[k];
                                }
                                for (int r = 0; r < 2; r++) {
                                    sum += .5 * run.entropy()[r] - .7 * run.lse()[r];
                                    sum += up.tail()[r] * run.tail()[r];
                                }
                                return sum;
                            },
                            logits,
                            1e-3);
            LabelsRun run =
                    LabelsRun.run(
                            reference,
                            Tensor.of(arena, DType.F64, logits, 2, 6),
                            ofRows,
                            options,
                            up);
            Expect.near("gradient", slopes, run.gradient(), 1e-8, 1e-9);
        }
    }
}
