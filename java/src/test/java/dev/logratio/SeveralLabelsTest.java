package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;

/** Several labels per row, and the tail that they leave. */
class SeveralLabelsTest {
    private static final double INFINITY = Double.POSITIVE_INFINITY;
    private static final long IGNORED = -100;

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** Every output of a call, F64, and its gradient. */
    private record Run(
            double[] logp,
            double[] tail,
            double[] lse,
            double[] entropy,
            double[] lse2,
            double[] mean,
            double[] argmax,
            double[] gradient) {
        double[][] figures() {
            return new double[][] {lse, entropy, lse2, mean, argmax};
        }
    }

    /** What comes from upstream: of each label, and of each row; null is none. */
    private record Upstream(double[] logp, double[] entropy, double[] lse, double[] tail) {}

    private static Run run(
            Backend backend, Tensor logits, Tensor labels, TokenOptions options, Upstream up) {
        Arena arena = Arena.ofAuto();
        long[] shape = Arrays.copyOf(logits.shape(), logits.rank() - 1);
        boolean several = labels.rank() == logits.rank();
        Tensor logp = Tensor.zeros(arena, DType.F64, labels.shape()).fill(Double.NaN);
        Tensor[] out = new Tensor[6];
        Arrays.setAll(out, i -> Tensor.zeros(arena, DType.F64, shape));
        Tensor argmax = Tensor.zeros(arena, DType.I64, shape);
        TokenLogprobs call =
                TokenLogprobs.of(logits, labels)
                        .tokenOptions(options)
                        .logp(logp)
                        .lse(out[0])
                        .entropy(out[1])
                        .lse2(out[2])
                        .meanLogit(out[3])
                        .argmax(argmax);
        (several ? call.tail(out[4]) : call).run(backend);
        Tensor gradient = Tensor.zeros(arena, logits.dtype(), logits.shape());
        gradient.copyFrom(logits); // in place
        TokenLogprobsBackward back =
                TokenLogprobsBackward.of(gradient, labels, out[0]).tokenOptions(options).inPlace();
        if (up.logp != null) {
            back.gradLogp(Tensor.of(arena, DType.F64, up.logp, labels.shape()));
        }
        if (up.entropy != null) {
            back.entropy(out[1]).gradEntropy(Tensor.of(arena, DType.F64, up.entropy, shape));
        }
        if (up.lse != null) {
            back.gradLse(Tensor.of(arena, DType.F64, up.lse, shape));
        }
        if (up.tail != null) {
            back.tail(out[4]).gradTail(Tensor.of(arena, DType.F64, up.tail, shape));
        }
        back.run(backend);
        return new Run(
                logp.toDoubles(),
                out[4].toDoubles(),
                out[0].toDoubles(),
                out[1].toDoubles(),
                out[2].toDoubles(),
                out[3].toDoubles(),
                argmax.toDoubles(),
                gradient.toDoubles());
    }

    /** One row, by what the definitions say. */
    private static final class Row {
        final double[] z;
        final double[] slope;
        final double[] p;
        final double lse;
        final double entropy;
        final double tail;
        final boolean[] isLabel;

        Row(double[] logits, long[] labels, TokenOptions options) {
            int columns = logits.length;
            z = new double[columns];
            slope = new double[columns];
            p = new double[columns];
            isLabel = new boolean[columns];
            for (long label : labels) {
                if (label != options.ignoreIndex()) {
                    isLabel[(int) label] = true;
                }
            }
            double cap = options.softcap();
            double sum = 0;
            double rest = 0;
            double held = 0;
            for (int k = 0; k < columns; k++) {
                double tanh = cap == 0 ? 0 : Math.tanh(logits[k] / cap);
                boolean isOut = logits[k] == -INFINITY;
                z[k] = isOut ? -INFINITY : (cap == 0 ? logits[k] : cap * tanh);
                z[k] /= options.temperature();
                slope[k] = (1 - tanh * tanh) / options.temperature();
                double e = Math.exp(z[k]);
                sum += e;
                rest += isLabel[k] ? 0 : e;
                held += isLabel[k] ? e : 0;
            }
            lse = Math.log(sum);
            double entropies = 0;
            for (int k = 0; k < columns; k++) {
                p[k] = Math.exp(z[k] - lse);
                entropies -= p[k] == 0 ? 0 : p[k] * (z[k] - lse);
            }
            entropy = entropies;
            tail = held < rest ? Math.log1p(-held / sum) : Math.log(rest) - lse;
        }

        double[] gradient(long[] labels, double[] g, double h, double m, double t) {
            double[] gradient = new double[z.length];
            for (int j = 0; j < z.length; j++) {
                double ofZ = m * p[j] - (p[j] == 0 ? 0 : h * p[j] * (z[j] - lse + entropy));
                for (int k = 0; k < labels.length; k++) {
                    if (labels[k] != IGNORED) {
                        ofZ += g[k] * ((labels[k] == j ? 1 : 0) - p[j]);
                    }
                }
                if (t != 0) {
                    ofZ += t * ((isLabel[j] ? 0 : Math.exp(z[j] - lse - tail)) - p[j]);
                }
                gradient[j] = p[j] == 0 ? 0 : ofZ * slope[j];
            }
            return gradient;
        }
    }

    private static double[] rounded(double[] values) {
        return Arrays.stream(values).map(value -> (float) value).toArray();
    }

    private static double[] random(int seed, int count, double scale) {
        Random random = new Random(seed);
        double[] values = new double[count];
        Arrays.setAll(values, i -> scale * random.nextGaussian());
        return rounded(values);
    }

    private static double[] of(double value, int count) {
        double[] all = new double[count];
        Arrays.fill(all, value);
        return all;
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
                        Run run =
                                run(
                                        backend,
                                        Tensor.of(arena, DType.F32, logits, 1, 11),
                                        Tensor.of(arena, labels, 1, 3),
                                        options,
                                        new Upstream(
                                                g,
                                                h == 0 ? null : of(h, 1),
                                                m == 0 ? null : of(m, 1),
                                                t == 0 ? null : of(t, 1)));
                        Row row = new Row(logits, labels, options);
                        double[] logps = new double[3];
                        for (int k = 0; k < 3; k++) {
                            boolean out = labels[k] == IGNORED;
                            logps[k] = out ? 0 : row.z[(int) labels[k]] - row.lse;
                        }
                        Expect.near("logp", logps, run.logp, 1e-6, 1e-6);
                        Expect.near("tail", of(row.tail, 1), run.tail, 2e-6, 0);
                        Expect.asPromised(
                                "gradient " + part,
                                DType.F32,
                                row.gradient(labels, g == null ? new double[3] : g, h, m, t),
                                run.gradient);
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
            Upstream up = new Upstream(random(3, 24, 1), null, of(.3, 6), random(4, 6, 1));
            Run dense = run(backend, logits, labels, TokenOptions.DEFAULT, up);
            Run loose = run(backend, logits, strided, TokenOptions.DEFAULT, up);
            assertArrayEquals(dense.logp, loose.logp);
            assertArrayEquals(dense.tail, loose.tail);
            assertArrayEquals(dense.gradient, loose.gradient);
            for (int r = 0; r < 6; r++) {
                double[] row = Arrays.copyOfRange(values, 130 * r, 130 * (r + 1));
                long[] ofRow = new long[4];
                for (int k = 0; k < 4; k++) {
                    ofRow[k] = labels.getLong(r / 3, r % 3, k);
                }
                Row expected = new Row(row, ofRow, TokenOptions.DEFAULT);
                double[] g = Arrays.copyOfRange(up.logp, 4 * r, 4 * (r + 1));
                Expect.asPromised(
                        "row " + r,
                        DType.F32,
                        expected.gradient(ofRow, g, 0, .3, up.tail[r]),
                        Arrays.copyOfRange(dense.gradient, 130 * r, 130 * (r + 1)));
                Expect.near("tail", of(expected.tail, 1), of(dense.tail[r], 1), 2e-6, 0);
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
                    Run run =
                            run(
                                    backend,
                                    Tensor.of(arena, DType.F32, logits, 1, columns),
                                    Tensor.of(arena, labels, 1, perRow),
                                    TokenOptions.DEFAULT,
                                    new Upstream(g, null, null, of(1.5, 1)));
                    Row row = new Row(logits, labels, TokenOptions.DEFAULT);
                    assertEquals(holdMost, row.tail < -Math.log(2));
                    Expect.near("tail", of(row.tail, 1), run.tail, 3e-6, 0);
                    Expect.near(
                            "gradient",
                            row.gradient(labels, g, 0, 0, 1.5),
                            run.gradient,
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
                        Run plain = run(backend, logits, Tensor.of(arena, labels, 4), options, up);
                        Run one = run(backend, logits, Tensor.of(arena, labels, 4, 1), options, up);
                        assertArrayEquals(plain.logp, one.logp);
                        assertArrayEquals(plain.gradient, one.gradient);
                        for (int k = 0; k < plain.figures().length; k++) {
                            assertArrayEquals(plain.figures()[k], one.figures()[k]);
                        }
                        double[] tail = one.tail;
                        assertEquals(0, tail[1]);
                        assertEquals(Math.log1p(-Math.exp(plain.logp[2])), tail[2], 1e-6);
                        double left = -Math.expm1(plain.logp[0]);
                        assertEquals(Math.log(left), tail[0], 1e-4);
                        assertTrue(Double.isNaN(tail[3]), Arrays.toString(tail));
                    }
                }
            }
        }
    }

    // ---- Both ends of the tail ----

    @ParameterizedTest
    @MethodSource("backends")
    void tailNearZero(Backend backend) {
        for (double away : new double[] {5, 20, 40, 80}) {
            double[] logits = {0, 1, -.5, -away, -away - 1, 0};
            long[] labels = {3, 4};
            Row row = new Row(rounded(logits), labels, TokenOptions.DEFAULT);
            try (Arena arena = Arena.ofConfined()) {
                Run run =
                        run(
                                backend,
                                Tensor.of(arena, DType.F32, logits, 1, 6),
                                Tensor.of(arena, labels, 1, 2),
                                TokenOptions.DEFAULT,
                                new Upstream(null, null, null, of(1, 1)));
                assertTrue(row.tail < 0 && row.tail > -.01);
                Expect.near("tail", of(row.tail, 1), run.tail, 1e-5, 0);
                double held = row.p[3] + row.p[4];
                double[] expected = new double[6];
                Arrays.setAll(
                        expected, k -> k == 3 || k == 4 ? -row.p[k] : row.p[k] * held / (1 - held));
                Expect.near("gradient", expected, run.gradient, 2e-5, 1e-6);
            }
        }
    }

    /** The others are far below: of each other, and of the labels. */
    @ParameterizedTest
    @MethodSource("backends")
    void tailFarBelow(Backend backend) {
        for (double away : new double[] {3, 15, 60, 300, 2000}) {
            for (int columns : new int[] {11, 3000, 40_000}) {
                double[] logits = of(-away - 40, columns);
                long[] labels = {4, columns - 1};
                logits[4] = 1;
                logits[columns - 1] = 2;
                logits[0] = -away;
                logits[columns / 2] = -away - 1;
                double lse = 2 + Math.log1p(Math.exp(-1));
                double others = Math.log1p(Math.exp(-1) + (columns - 4) * Math.exp(-40));
                double tail = -away + others - (lse + Math.log1p(Math.exp(-away - lse + others)));
                try (Arena arena = Arena.ofShared()) {
                    Run run =
                            run(
                                    backend,
                                    Tensor.of(arena, DType.F32, logits, 1, columns),
                                    Tensor.of(arena, labels, 1, 2),
                                    TokenOptions.DEFAULT,
                                    new Upstream(null, null, null, of(2, 1)));
                    String what = away + " of " + columns;
                    Expect.near(what, of(tail, 1), run.tail, 2e-6, 0);
                    double left = -Math.expm1(tail);
                    double share = 1 / (1 + Math.exp(-1));
                    assertEquals(2 * share * left, run.gradient[0], 1e-4, what);
                    assertEquals(2 * (1 - share) * left, run.gradient[columns / 2], 1e-4, what);
                    assertEquals(-2 * share * left, run.gradient[columns - 1], 1e-4, what);
                    assertEquals(-2 * (1 - share) * left, run.gradient[4], 1e-4, what);
                }
            }
        }
    }

    /** All columns are labels, or what is no label is impossible: grad_tail is not used. */
    @ParameterizedTest
    @MethodSource("backends")
    void nothingLeft(Backend backend) {
        double[] all = {1, 0, 2};
        double[] masked = {1, -INFINITY, 0, 2, -INFINITY};
        for (double[] logits : new double[][] {all, masked}) {
            try (Arena arena = Arena.ofConfined()) {
                long last = logits.length == 3 ? 1 : 2;
                long[] labels = {0, last, logits.length == 3 ? 2 : 3};
                Run run =
                        run(
                                backend,
                                Tensor.of(arena, DType.F32, logits, 1, logits.length),
                                Tensor.of(arena, labels, 1, 3),
                                TokenOptions.DEFAULT,
                                new Upstream(new double[] {1, 0, 0}, null, null, of(5, 1)));
                assertEquals(-INFINITY, run.tail[0]);
                Row row = new Row(logits, labels, TokenOptions.DEFAULT);
                Expect.asPromised(
                        "gradient",
                        DType.F32,
                        row.gradient(labels, new double[] {1, 0, 0}, 0, 0, 0),
                        run.gradient);
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
            Upstream up = new Upstream(new double[] {.5, -1}, null, null, of(.7, 1));
            Run run =
                    run(
                            backend,
                            Tensor.of(arena, DType.F32, logits, 1, 4),
                            Tensor.of(arena, labels, 1, 2),
                            TokenOptions.DEFAULT,
                            up);
            Row row = new Row(logits, labels, TokenOptions.DEFAULT);
            Expect.near("logp", new double[] {-INFINITY, 2 - row.lse}, run.logp, 1e-6, 0);
            Expect.asPromised(
                    "gradient", DType.F32, row.gradient(labels, up.logp, 0, 0, .7), run.gradient);
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
            Run run =
                    run(
                            backend,
                            Tensor.of(arena, DType.F32, logits, 4, 4),
                            Tensor.of(arena, labels, 4, 2),
                            TokenOptions.DEFAULT,
                            new Upstream(of(1, 8), of(1, 4), of(1, 4), of(1, 4)));
            assertArrayEquals(new double[2], Arrays.copyOf(run.logp, 2));
            assertEquals(0, run.tail[0]);
            assertEquals(run.lse[3], run.lse[0]);
            assertEquals(run.entropy[3], run.entropy[0]);
            assertArrayEquals(new double[4], Arrays.copyOf(run.gradient, 4));
            for (int r : new int[] {1, 2}) {
                assertTrue(Double.isNaN(run.tail[r]) && Double.isNaN(run.logp[2 * r + 1]));
                for (int k = 0; k < 4; k++) {
                    assertTrue(Double.isNaN(run.gradient[4 * r + k]));
                }
            }
            assertEquals(0, run.logp[4]);
            assertTrue(Double.isFinite(run.tail[3]) && Double.isFinite(run.gradient[12]));
        }
    }

    /** A tail and an lse of few digits are found again where they do not serve. */
    @ParameterizedTest
    @MethodSource("backends")
    void roundedTails(Backend backend) {
        double[] logits = {3, 300, -500, 299, -501, -502};
        long[] labels = {1, 3, 0};
        Row row =
                new Row(
                        Arrays.stream(logits).map(x -> x - 300).toArray(),
                        labels,
                        TokenOptions.DEFAULT);
        try (Arena arena = Arena.ofConfined()) {
            Tensor rows = Tensor.of(arena, DType.F32, logits, 1, 6);
            Tensor ofRow = Tensor.of(arena, labels, 1, 3);
            Tensor lse = Tensor.zeros(arena, DType.BF16, 1);
            Tensor tail = Tensor.zeros(arena, DType.BF16, 1);
            TokenLogprobs.of(rows, ofRow).lse(lse).tail(tail).run(backend);
            TokenLogprobsBackward.of(rows, ofRow, lse)
                    .tail(tail)
                    .gradTail(Tensor.of(arena, DType.F32, new double[] {1}, 1))
                    .inPlace()
                    .run(backend);
            double sum = 1 + Math.exp(-1) + Math.exp(-2);
            Expect.near(
                    "gradient",
                    new double[] {
                        -row.p[0],
                        -row.p[1],
                        1 / sum,
                        -row.p[3],
                        Math.exp(-1) / sum,
                        Math.exp(-2) / sum
                    },
                    rows.toDoubles(),
                    1e-5,
                    1e-6);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void paddedVocabulary(Backend backend) {
        double[] padded = {1, 2, 0, -1, Double.NaN, INFINITY};
        try (Arena arena = Arena.ofConfined()) {
            Tensor labels = Tensor.of(arena, new long[] {1, 3}, 1, 2);
            Upstream up = new Upstream(new double[] {1, -2}, of(.5, 1), of(.25, 1), of(1.5, 1));
            Run slice =
                    run(
                            backend,
                            Tensor.of(arena, DType.F32, Arrays.copyOf(padded, 4), 1, 4),
                            labels,
                            TokenOptions.DEFAULT,
                            up);
            Run run =
                    run(
                            backend,
                            Tensor.of(arena, DType.F32, padded, 1, 6),
                            labels,
                            TokenOptions.DEFAULT.withVocab(4),
                            up);
            assertArrayEquals(slice.logp, run.logp);
            assertArrayEquals(slice.tail, run.tail);
            assertArrayEquals(Arrays.copyOf(slice.gradient, 6), run.gradient);
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
            Upstream up = new Upstream(g, of(.5, 2), of(-.7, 2), new double[] {1.2, -.6});
            double[] slopes =
                    FiniteDifference.gradient(
                            at -> {
                                Tensor moved = Tensor.of(arena, DType.F64, at, 2, 6);
                                Run run = run(reference, moved, ofRows, options, up);
                                double sum = 0;
                                for (int k = 0; k < 6; k++) {
                                    sum += g[k] * run.logp[k];
                                }
                                for (int r = 0; r < 2; r++) {
                                    sum += .5 * run.entropy[r] - .7 * run.lse[r];
                                    sum += up.tail[r] * run.tail[r];
                                }
                                return sum;
                            },
                            logits,
                            1e-3);
            Run run =
                    run(reference, Tensor.of(arena, DType.F64, logits, 2, 6), ofRows, options, up);
            Expect.near("gradient", slopes, run.gradient, 1e-8, 1e-9);
        }
    }
}
