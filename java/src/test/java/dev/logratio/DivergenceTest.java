package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.DivergenceOptions.Detach;
import dev.logratio.DivergenceOptions.Reduction;
import dev.logratio.internal.reference.ReferenceBackend;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Stream;

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

    static Stream<Arguments> backendsAndKinds() {
        return backends()
                .flatMap(
                        backend ->
                                Arrays.stream(DivergenceKind.values())
                                        .map(kind -> Arguments.of(backend, kind)));
    }

    /** Everything that a call on new tensors gives. */
    static final class Outputs {
        final double[] values;
        final double loss;
        final double[] ofP;
        final double[] ofQ;

        Outputs(
                Backend backend,
                Tensor p,
                Tensor q,
                DivergenceOptions options,
                long pairs,
                Consumer<Divergence> further) {
            Arena arena = Arena.ofAuto();
            Tensor gradP = Tensor.zeros(arena, p.dtype(), p.shape()).fill(Double.NaN);
            Tensor gradQ = Tensor.zeros(arena, q.dtype(), q.shape()).fill(Double.NaN);
            Divergence call = Divergence.of(p, q).options(options).gradP(gradP).gradQ(gradQ);
            further.accept(call);
            Tensor valuesOut = Tensor.zeros(arena, DType.F64, pairs);
            Tensor lossOut = Tensor.zeros(arena, DType.F64, 1);
            call.values(valuesOut).loss(lossOut).run(backend);
            values = valuesOut.toDoubles();
            loss = lossOut.getDouble(0);
            ofP = gradP.toDoubles();
            ofQ = gradQ.toDoubles();
        }

        Outputs(Backend backend, Tensor p, Tensor q, DivergenceOptions options) {
            this(backend, p, q, options, p.size(0), call -> {});
        }
    }

    private static DType dtype(Backend backend) {
        return backend instanceof ReferenceBackend ? DType.F64 : DType.F32;
    }

    private static double[] normal(long seed, double spread, int count) {
        Random random = new Random(seed);
        return random.doubles(count).map(ignored -> spread * random.nextGaussian()).toArray();
    }

    @ParameterizedTest
    @MethodSource("backendsAndKinds")
    void table(Backend backend, DivergenceKind kind) {
        Tensor p = Tensor.of(dtype(backend), new double[] {1, 0, -1}, 1, 3);
        Tensor q = Tensor.of(dtype(backend), new double[] {.5, .25, -.75}, 1, 3);
        Outputs out = new Outputs(backend, p, q, DivergenceOptions.of(kind));
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
        Outputs out = new Outputs(backend, p, p, DivergenceOptions.DEFAULT);
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
            Outputs out = outputs(used, x, columns);
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

    private static Outputs outputs(DivergenceOptions options, double[] x, int columns) {
        Tensor p = Tensor.of(DType.F64, Arrays.copyOf(x, columns), 1, columns);
        Tensor q = Tensor.of(DType.F64, Arrays.copyOfRange(x, columns, 2 * columns), 1, columns);
        return new Outputs(Backend.reference(), p, q, options);
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
        Outputs actual =
                new Outputs(
                        backend,
                        Tensor.of(DType.F32, p, 1, columns),
                        Tensor.of(DType.F32, q, 1, columns),
                        options);
        Outputs expected =
                new Outputs(
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
        Outputs actual = new Outputs(TestBackends.cpu(), p, q, options);
        Outputs expected = new Outputs(Backend.reference(), p, q, options);
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

    @ParameterizedTest
    @MethodSource("backendsAndKinds")
    void rowsWeightsUpstreamAndReduction(Backend backend, DivergenceKind kind) {
        int columns = 41;
        Tensor p = Tensor.of(DType.F32, normal(1, 2, 4 * columns), 4, columns);
        Tensor q = Tensor.of(DType.F32, normal(2, 2, 3 * columns), 3, columns);
        Tensor pRows = Tensor.of(new long[] {3, 1}, 2);
        Tensor qRows = Tensor.of(new long[] {0, 2}, 2);
        Tensor weights = Tensor.of(DType.F32, new double[] {1, 3}, 2);
        Tensor upstream = Tensor.of(DType.F64, new double[] {-2}, 1);
        DivergenceOptions options = DivergenceOptions.of(kind);
        Outputs mean =
                new Outputs(
                        backend,
                        p,
                        q,
                        options,
                        2,
                        call -> call.rows(pRows, qRows).rowWeights(weights).gradLoss(upstream));
        Outputs sum =
                new Outputs(
                        backend,
                        p,
                        q,
                        options.withReduction(Reduction.SUM),
                        2,
                        call -> call.rows(pRows, qRows).rowWeights(weights));
        assertEquals((mean.values[0] + 3 * mean.values[1]) / 4, mean.loss, 1e-9);
        assertEquals(mean.values[0] + 3 * mean.values[1], sum.loss, 1e-9);
        for (int k = 0; k < 2; k++) {
            int row = (int) pRows.getLong(k);
            int other = (int) qRows.getLong(k);
            Outputs alone =
                    new Outputs(
                            backend,
                            p.slice(0, row, row + 1),
                            q.slice(0, other, other + 1),
                            options);
            assertEquals(alone.values[0], mean.values[k], 1e-12);
            double weight = weights.getDouble(k);
            double[] expected = Arrays.stream(alone.ofP).map(g -> -2 * weight / 4 * g).toArray();
            Expect.near(
                    "d p",
                    expected,
                    Arrays.copyOfRange(mean.ofP, row * columns, (row + 1) * columns),
                    1e-6,
                    1e-6);
            double[] summed = Arrays.stream(alone.ofQ).map(g -> weight * g).toArray();
            Expect.near(
                    "d q",
                    summed,
                    Arrays.copyOfRange(sum.ofQ, other * columns, (other + 1) * columns),
                    1e-6,
                    1e-6);
        }
        assertArrayEquals(new double[columns], Arrays.copyOfRange(mean.ofP, 0, columns));
        assertArrayEquals(new double[columns], Arrays.copyOfRange(mean.ofQ, columns, 2 * columns));
    }

    @ParameterizedTest
    @MethodSource("backendsAndKinds")
    void weightsAreWhatTheirLogarithmsAreAsLogits(Backend backend, DivergenceKind kind) {
        int columns = 123;
        double[] logs = normal(7, 1, columns);
        Tensor p = Tensor.of(DType.F32, normal(8, 2, columns), 1, columns);
        Tensor weights =
                Tensor.of(DType.F32, Arrays.stream(logs).map(Math::exp).toArray(), 1, columns);
        Tensor same =
                Tensor.of(
                        DType.F64,
                        Arrays.stream(weights.toDoubles()).map(Math::log).toArray(),
                        1,
                        columns);
        Tensor wide = Tensor.of(DType.F64, p.toDoubles(), 1, columns);
        Outputs expected = new Outputs(Backend.reference(), wide, same, DivergenceOptions.of(kind));
        Tensor values = Tensor.zeros(DType.F64, 1);
        Tensor gradient = Tensor.zeros(DType.F32, 1, columns);
        Divergence.ofWeights(p, weights)
                .options(DivergenceOptions.of(kind))
                .values(values)
                .gradP(gradient)
                .run(backend);
        Expect.near("value", expected.values, values.toDoubles(), 2e-5, 0);
        Expect.near("d p", expected.ofP, gradient.toDoubles(), 2e-5, 3e-6);
    }

    @ParameterizedTest
    @MethodSource("backendsAndKinds")
    void inPlace(Backend backend, DivergenceKind kind) {
        Tensor p = Tensor.of(DType.F32, normal(1, 2, 123), 1, 123);
        Tensor q = Tensor.of(DType.F32, normal(2, 2, 123), 1, 123);
        Outputs apart = new Outputs(backend, p, q, DivergenceOptions.of(kind));
        Divergence.of(p, q).options(DivergenceOptions.of(kind)).gradP(p).gradQ(q).run(backend);
        assertArrayEquals(apart.ofP, p.toDoubles());
        assertArrayEquals(apart.ofQ, q.toDoubles());
    }

    @ParameterizedTest
    @MethodSource("backends")
    void noWeightAndNoRows(Backend backend) {
        Tensor p = Tensor.of(DType.F32, normal(1, 2, 82), 2, 41);
        Outputs none =
                new Outputs(
                        backend,
                        p,
                        p,
                        DivergenceOptions.DEFAULT,
                        2,
                        call -> call.rowWeights(Tensor.zeros(DType.F32, 2)));
        assertEquals(0, none.loss);
        assertArrayEquals(new double[82], none.ofP);
        assertTrue(none.values[1] > 0);
        Tensor rows = Tensor.zeros(DType.I64, 0);
        Outputs empty =
                new Outputs(
                        backend, p, p, DivergenceOptions.DEFAULT, 0, call -> call.rows(rows, rows));
        assertEquals(0, empty.loss);
        assertArrayEquals(new double[82], empty.ofQ);
    }

    @Test
    void optionsThatAKindDoesNotHave() {
        assertEquals(
                "w1 is 2.0, expected 1 as js has no such option",
                assertThrows(
                                IllegalArgumentException.class,
                                () -> DivergenceOptions.of(DivergenceKind.JS).withWeights(2, 1))
                        .getMessage());
        assertEquals(
                "temperature is 0.0, expected a finite number > 0",
                assertThrows(
                                IllegalArgumentException.class,
                                () -> DivergenceOptions.DEFAULT.withTemperature(0))
                        .getMessage());
    }

    @ParameterizedTest
    @MethodSource("backends")
    void mistakesAreNamed(Backend backend) {
        Tensor p = Tensor.zeros(DType.F32, 2, 3);
        Tensor q = Tensor.zeros(DType.F32, 2, 3);
        Tensor out = Tensor.zeros(DType.F32, 2, 3).fill(-77);
        Tensor twice = Tensor.of(new long[] {1, 1}, 2);
        mistake(
                backend,
                "q_logits is F32 [2, 4], expected shape [2, 3], as p_logits is F32 [2, 3]",
                Divergence.of(p, Tensor.zeros(DType.F32, 2, 4)).gradP(out));
        mistake(
                backend,
                "q_logits is BF16 [2, 3], expected F32, as p_logits is F32 [2, 3]",
                Divergence.of(p, Tensor.zeros(DType.BF16, 2, 3)).gradP(out));
        mistake(
                backend,
                "q_logits is F32 [1, 3], expected 2 rows, as p_logits is F32 [2, 3] without p_rows"
                        + " and q_rows",
                Divergence.of(p, q.slice(0, 0, 1)).gradP(out));
        mistake(
                backend,
                "q_rows is missing, expected int [K], as p_rows is given",
                Divergence.of(p, q).rows(twice, null).gradP(out));
        mistake(
                backend,
                "p_rows[1] is 1 once more, expected no row twice",
                Divergence.of(p, q).rows(twice, twice).gradP(out));
        mistake(
                backend,
                "row_weights[0] is -1.0, expected a finite number >= 0",
                Divergence.of(p, q)
                        .rowWeights(Tensor.of(DType.F32, new double[] {-1, 0}, 2))
                        .gradP(out));
        mistake(
                backend,
                "q_weights row 0 sums to 0, expected a positive sum",
                Divergence.ofWeights(p, q).gradP(out));
        mistake(
                backend,
                "grad_q_logits is wanted, expected q_logits with it: q_weights are constant",
                Divergence.ofWeights(p, Tensor.zeros(DType.F32, 2, 3).fill(1)).gradQ(out));
        mistake(
                backend,
                "grad_p_logits is wanted, expected p_logits not detached",
                Divergence.of(p, q)
                        .options(DivergenceOptions.DEFAULT.withDetach(Detach.P))
                        .gradP(out));
        mistake(
                backend,
                "grad_p_logits F32 [2, 3] overlaps q_logits F32 [2, 3], expected memory of its own",
                Divergence.of(p, q).gradP(q));
        mistake(
                backend,
                "grad_p_logits F32 [2, 3] overlaps q_logits F32 [2, 3], expected memory of its own",
                Divergence.of(p, p).gradP(p));
        assertArrayEquals(new double[] {-77, -77, -77, -77, -77, -77}, out.toDoubles());
    }

    private static void mistake(Backend backend, String message, Divergence call) {
        String actual =
                assertThrows(IllegalArgumentException.class, () -> call.run(backend)).getMessage();
        assertTrue(
                actual.equals(message) || actual.equals(swapped(message)),
                actual + " is not " + message);
    }

    /** Which of two tensors that overlap is named first is open. */
    private static String swapped(String message) {
        return message.replace(
                "grad_p_logits F32 [2, 3] overlaps q_logits",
                "q_logits F32 [2, 3] overlaps grad_p_logits");
    }
}
