package dev.logratio;

import static dev.logratio.DivergenceRun.normal;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.internal.reference.ReferenceBackend;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.Map;
import java.util.stream.Stream;

/** Values and gradients of every divergence, of whole batches of logits. */
class DivergenceTest {
    private static final double INFINITY = Double.POSITIVE_INFINITY;

    /** Value and both gradients; null where the table has none. */
    private record Entry(double value, double[] ofP, double[] ofQ) {}

    /** Values from 60-digit arithmetic, for p = softmax(1,0,-1) and q = softmax(.5,.25,-.75). */
    private static final Map<DivergenceKind, Entry> TABLE =
            Map.of(
                    DivergenceKind.SCE,
                            new Entry(
                                    1.9611373589861215,
                                    new double[] {
                                        0.065485224088549128,
                                        -0.11369115769862507,
                                        0.048205933610075944
                                    },
                                    new double[] {
                                        -0.49796927496246591,
                                        0.26263027967823481,
                                        0.23533899528423110
                                    }),
                    DivergenceKind.KL_PQ,
                            new Entry(
                                    0.066602948448097814,
                                    new double[] {
                                        0.16702156990096752,
                                        -0.12210255149235332,
                                        -0.044919018408614199
                                    },
                                    new double[] {
                                        -0.18105110526702390,
                                        0.13235896367590188,
                                        0.048692141591122018
                                    }),
                    DivergenceKind.KL_QP,
                            new Entry(
                                    0.069185380502170110,
                                    new double[] {
                                        0.18105110526702390,
                                        -0.13235896367590188,
                                        -0.048692141591122018
                                    },
                                    new double[] {
                                        -0.18731252937977567,
                                        0.13693643148796983,
                                        0.050376097891805839
                                    }),
                    DivergenceKind.JEFFREYS,
                            new Entry(
                                    0.13578832895026792,
                                    new double[] {
                                        0.34807267516799142,
                                        -0.25446151516825520,
                                        -0.093611159999736217
                                    },
                                    new double[] {
                                        -0.36836363464679957,
                                        0.26929539516387171,
                                        0.099068239482927856
                                    }),
                    DivergenceKind.JS,
                            new Entry(
                                    0.016867970643044171,
                                    new double[] {
                                        0.042938120063952558,
                                        -0.031390281022997651,
                                        -0.011547839040954907
                                    },
                                    new double[] {
                                        -0.045501718658735613,
                                        0.033264421767877629,
                                        0.012237296890857984
                                    }),
                    DivergenceKind.L2,
                            new Entry(
                                    0.052669322636499558,
                                    new double[] {
                                        0.12956802724320387,
                                        -0.10573532051524584,
                                        -0.023832706727958027
                                    },
                                    new double[] {
                                        -0.14530886593906701,
                                        0.12319933925235595,
                                        0.022109526686711061
                                    }),
                    DivergenceKind.TVD,
                            new Entry(
                                    0.18105110526702390,
                                    null,
                                    new double[] {
                                        -0.24975003917303422,
                                        0.18258190865062644,
                                        0.067168130522407785
                                    }),
                    DivergenceKind.WASSERSTEIN1,
                            new Entry(
                                    0.22974324685814592,
                                    null,
                                    new double[] {
                                        -0.31691816969544201,
                                        0.13027131600233293,
                                        0.18664685369310908
                                    }),
                    DivergenceKind.COSINE,
                            new Entry(
                                    0.050478718389919031,
                                    null,
                                    new double[] {
                                        -0.15416144947445199,
                                        0.13578495423393227,
                                        0.018376495240519715
                                    }));

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    private static DType dtype(Backend backend) {
        return backend instanceof ReferenceBackend ? DType.F64 : DType.F32;
    }

    @ParameterizedTest
    @MethodSource("dev.logratio.DivergenceRun#backendsAndKinds")
    void table(Backend backend, DivergenceKind kind) {
        Tensor p = Tensor.of(dtype(backend), new double[] {1, 0, -1}, 1, 3);
        Tensor q = Tensor.of(dtype(backend), new double[] {.5, .25, -.75}, 1, 3);
        DivergenceRun out = new DivergenceRun(backend, p, q, DivergenceOptions.of(kind));
        Entry entry = TABLE.get(kind);
        double relative = backend instanceof ReferenceBackend ? 1e-13 : 2e-6;
        Expect.near("value", new double[] {entry.value}, out.values, relative, 0, 1e-7 * relative);
        assertEquals(out.values[0], out.loss);
        if (entry.ofP != null) {
            Expect.near("d p", entry.ofP, out.ofP, relative, relative);
        }
        Expect.near("d q", entry.ofQ, out.ofQ, relative, relative);
    }

    /** SCE is not 0 where both sides are the same: 2 H(p). */
    @ParameterizedTest
    @MethodSource("backends")
    void crossEntropyOfARowWithItself(Backend backend) {
        Tensor p = Tensor.of(dtype(backend), new double[] {1, 0, -1}, 1, 3);
        DivergenceRun out = new DivergenceRun(backend, p, p, DivergenceOptions.DEFAULT);
        double[] expected = {-0.28258745107944229, 0.14077035746963013, 0.14181709360981216};
        Expect.near("value", new double[] {1.6647911636798777}, out.values, 1e-6, 0);
        Expect.near("d p", expected, out.ofP, 1e-6, 1e-6);
        Expect.near("d q", expected, out.ofQ, 1e-6, 1e-6);
    }

    @ParameterizedTest
    @EnumSource
    void referenceIsTheDerivative(DivergenceKind kind) {
        int columns = 7;
        double[] x = normal(3, 1.5, 2 * columns);
        for (double temperature : new double[] {1, .6, 2}) {
            DivergenceOptions options = DivergenceOptions.of(kind).withTemperature(temperature);
            if (kind == DivergenceKind.SCE) {
                options = options.withWeights(.3, 1.7);
            }
            DivergenceOptions used = options;
            DivergenceRun out = outputs(used, x, columns);
            double[] expected =
                    FiniteDifference.gradient(at -> outputs(used, at, columns).values[0], x, 1e-3);
            Expect.near(kind + " d p", Arrays.copyOf(expected, columns), out.ofP, 1e-8, 1e-8);
            Expect.near(
                    kind + " d q",
                    Arrays.copyOfRange(expected, columns, 2 * columns),
                    out.ofQ,
                    1e-8,
                    1e-8);
        }
    }

    private static DivergenceRun outputs(DivergenceOptions options, double[] x, int columns) {
        Tensor p = Tensor.of(DType.F64, Arrays.copyOf(x, columns), 1, columns);
        Tensor q = Tensor.of(DType.F64, Arrays.copyOfRange(x, columns, 2 * columns), 1, columns);
        return new DivergenceRun(Backend.reference(), p, q, options);
    }

    @ParameterizedTest
    @EnumSource
    void cpuAgreesWithTheReference(DivergenceKind kind) {
        for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
            for (int columns : new int[] {1, 2, 41, 123, 507, 1271, 32_771}) {
                int rows = 3;
                Tensor p = Tensor.of(dtype, normal(columns, 2, rows * columns), rows, columns);
                Tensor q = Tensor.of(dtype, normal(columns + 1, 2, rows * columns), rows, columns);
                if (columns > 100) { // masked alike
                    for (int k = columns / 2; k < columns / 2 + 40; k++) {
                        p.setDouble(-INFINITY, 1, k);
                        q.setDouble(-INFINITY, 1, k);
                    }
                }
                DivergenceOptions options = DivergenceOptions.of(kind).withTemperature(1.25);
                agree(kind + " " + dtype + " " + columns, dtype, p, q, options);
            }
        }
    }

    /** Differences of 1000 and more, one side masked, bad rows, and rows that are the same. */
    @ParameterizedTest
    @EnumSource
    void cpuAgreesWithTheReferenceAtExtremes(DivergenceKind kind) {
        int columns = 130;
        double[] base = new double[columns];
        Arrays.setAll(base, k -> (k * 37 % 101) / 16.0);
        double[][] pairs = {
            base,
            Arrays.stream(base).map(x -> x + 1000).toArray(),
            base,
            base,
            base,
            with(base, 5, -INFINITY),
            with(base, 6, -INFINITY),
            base,
            base,
            with(base, 5, Double.NaN),
            with(base, 5, INFINITY),
            base,
            new double[columns],
            Arrays.stream(base).map(x -> -30 * x).toArray(),
        };
        Arrays.fill(pairs[12], -INFINITY);
        pairs[12][3] = 2;
        for (int i = 0; i < pairs.length; i += 2) {
            Tensor p = Tensor.of(DType.F32, pairs[i], 1, columns);
            Tensor q = Tensor.of(DType.F32, pairs[i + 1], 1, columns);
            agree(kind + " pair " + i, DType.F32, p, q, DivergenceOptions.of(kind));
        }
    }

    /**
     * Wasserstein's gradient is p times a count of columns less its mean; here both are near 100000
     * where the probability is.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void countsOfColumnsDoNotCancel(Backend backend) {
        int columns = 100_003;
        double[] p = new double[columns];
        double[] q = new double[columns];
        Arrays.fill(p, -20);
        Arrays.fill(q, -21);
        System.arraycopy(new double[] {1, 0, -1}, 0, p, columns - 3, 3);
        System.arraycopy(new double[] {.5, .25, -.75}, 0, q, columns - 3, 3);
        DivergenceOptions options = DivergenceOptions.of(DivergenceKind.WASSERSTEIN1);
        DivergenceRun actual =
                new DivergenceRun(
                        backend,
                        Tensor.of(DType.F32, p, 1, columns),
                        Tensor.of(DType.F32, q, 1, columns),
                        options);
        DivergenceRun expected =
                new DivergenceRun(
                        Backend.reference(),
                        Tensor.of(DType.F64, p, 1, columns),
                        Tensor.of(DType.F64, q, 1, columns),
                        options);
        Expect.near("d p", expected.ofP, actual.ofP, 2e-5, 3e-6);
        Expect.near("d q", expected.ofQ, actual.ofQ, 2e-5, 3e-6);
    }

    private static double[] with(double[] values, int index, double value) {
        double[] copy = values.clone();
        copy[index] = value;
        return copy;
    }

    private static void agree(
            String what, DType dtype, Tensor p, Tensor q, DivergenceOptions options) {
        DivergenceRun actual = new DivergenceRun(TestBackends.cpu(), p, q, options);
        DivergenceRun expected = new DivergenceRun(Backend.reference(), p, q, options);
        // The size of a term, of which a value near 0 is the sum, is 1; that of a gradient 1 /
        // rows.
        Expect.near(what + " values", expected.values, actual.values, 2e-5, 3e-6, 3e-7);
        near(what + " d p", dtype, expected.ofP, actual.ofP, (int) p.size(0));
        near(what + " d q", dtype, expected.ofQ, actual.ofQ, (int) p.size(0));
    }

    private static void near(
            String what, DType dtype, double[] expected, double[] actual, int rows) {
        switch (dtype) {
            case F32 -> Expect.near(what, expected, actual, 2e-5, 3e-6, 2e-7 / rows);
            case BF16 -> Expect.near(what, expected, actual, 0x1p-7, 2e-3, 2e-7 / rows);
            default -> Expect.near(what, expected, actual, 0x1p-10, 2e-3, 0x1p-24);
        }
    }
}
