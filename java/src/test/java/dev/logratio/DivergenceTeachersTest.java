package dev.logratio;

import static dev.logratio.DivergenceRun.normal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Divergences with other weights of the mixture, of a part of the columns, from known
 * log-probabilities and from several models.
 */
class DivergenceTeachersTest {
    private static final DivergenceKind[] TOPK = {
        DivergenceKind.KL_PQ, DivergenceKind.KL_QP, DivergenceKind.JS
    };

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    static Stream<Arguments> backendsAndTopkKinds() {
        return TestBackends.all()
                .flatMap(b -> Arrays.stream(TOPK).map(kind -> Arguments.of(b, kind)));
    }

    // ---- The mixture's weights ----

    /** The definition, from probabilities in plain arithmetic. */
    @ParameterizedTest
    @MethodSource("backends")
    void weightsOfTheMixture(Backend backend) {
        Tensor p = Tensor.of(DType.F32, new double[] {1, 0, -1}, 1, 3);
        Tensor q = Tensor.of(DType.F32, new double[] {.5, .25, -.75}, 1, 3);
        for (double w : new double[] {.1, .5, .9}) {
            DivergenceOptions options = DivergenceOptions.of(DivergenceKind.JS).withJsWeight(w);
            DivergenceRun run = new DivergenceRun(backend, p, q, options);
            double[] u = softmax(p.toDoubles());
            double[] v = softmax(q.toDoubles());
            double expected = 0;
            for (int k = 0; k < 3; k++) {
                double m = w * u[k] + (1 - w) * v[k];
                expected += w * u[k] * Math.log(u[k] / m) + (1 - w) * v[k] * Math.log(v[k] / m);
            }
            assertEquals(expected, run.values[0], 3e-7);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void aMixtureIsTheOtherSidesWithTheOtherWeight(Backend backend) {
        Tensor p = Tensor.of(DType.F32, normal(1, 2, 41), 1, 41);
        Tensor q = Tensor.of(DType.F32, normal(2, 2, 41), 1, 41);
        DivergenceOptions options = DivergenceOptions.of(DivergenceKind.JS);
        DivergenceRun one = new DivergenceRun(backend, p, q, options.withJsWeight(.2));
        DivergenceRun other = new DivergenceRun(backend, q, p, options.withJsWeight(.8));
        Expect.near("value", one.values, other.values, 2e-6, 0);
        Expect.near("d p", one.ofP, other.ofQ, 2e-5, 3e-6);
        Expect.near("d q", one.ofQ, other.ofP, 2e-5, 3e-6);
    }

    /** Next to 0, it is the weight times KL(p,q). */
    @ParameterizedTest
    @MethodSource("backends")
    void aSmallWeightIsKl(Backend backend) {
        Tensor p = Tensor.of(DType.F32, normal(3, 1, 123), 1, 123);
        Tensor q = Tensor.of(DType.F32, normal(4, 1, 123), 1, 123);
        DivergenceRun js =
                new DivergenceRun(
                        backend, p, q, DivergenceOptions.of(DivergenceKind.JS).withJsWeight(1e-7));
        DivergenceRun kl =
                new DivergenceRun(backend, p, q, DivergenceOptions.of(DivergenceKind.KL_PQ));
        Expect.near("value", scaled(1e-7, kl.values), js.values, 2e-5, 0);
        Expect.near("d p", scaled(1e-7, kl.ofP), js.ofP, 2e-5, 1e-5);
        Expect.near("d q", scaled(1e-7, kl.ofQ), js.ofQ, 2e-5, 1e-5);
    }

    // ---- A part of the columns ----

    @ParameterizedTest
    @MethodSource("dev.logratio.DivergenceRun#backendsAndKinds")
    void columnsBehindTheVocabularyTakeNoPart(Backend backend, DivergenceKind kind) {
        int columns = 50;
        int vocab = 41;
        Tensor p = Tensor.of(DType.F32, normal(5, 2, 2 * columns), 2, columns);
        Tensor q = Tensor.of(DType.F32, normal(6, 2, 2 * columns), 2, columns);
        p.slice(1, vocab, columns).fill(Double.NaN);
        q.slice(1, vocab, columns).fill(Double.POSITIVE_INFINITY);
        DivergenceOptions options = DivergenceOptions.of(kind);
        DivergenceRun whole = new DivergenceRun(backend, p, q, options.withVocab(vocab));
        DivergenceRun part =
                new DivergenceRun(backend, p.slice(1, 0, vocab), q.slice(1, 0, vocab), options);
        assertArrayEquals(part.values, whole.values);
        assertArrayEquals(padded(part.ofP, 2, vocab, columns), whole.ofP);
        assertArrayEquals(padded(part.ofQ, 2, vocab, columns), whole.ofQ);
        Tensor weights = Tensor.of(DType.F32, normal(6, 2, 2 * columns), 2, columns);
        for (int i = 0; i < 2 * columns; i++) {
            double weight =
                    i % columns < vocab
                            ? Math.exp(weights.getDouble(i / columns, i % columns))
                            : -1;
            weights.setDouble(weight, i / columns, i % columns);
        }
        Tensor values = Tensor.zeros(DType.F64, 2);
        Tensor expected = Tensor.zeros(DType.F64, 2);
        Divergence.ofWeights(p, weights)
                .options(options.withVocab(vocab))
                .values(values)
                .run(backend);
        Divergence.ofWeights(p.slice(1, 0, vocab), weights.slice(1, 0, vocab))
                .options(options)
                .values(expected)
                .run(backend);
        assertArrayEquals(expected.toDoubles(), values.toDoubles());
    }

    // ---- Known log-probabilities ----

    /** Two known columns of four, from the definition over three outcomes. */
    @ParameterizedTest
    @MethodSource("backendsAndTopkKinds")
    void outcomesOfKnownColumns(Backend backend, DivergenceKind kind) {
        Tensor p = Tensor.of(DType.F32, new double[] {1, -.5, .25, 0}, 1, 4);
        double[] q = {.25, .5, .25}; // of columns 2 and 0, and of the rest
        double w = kind == DivergenceKind.JS ? .3 : .5;
        Tensor gradient = Tensor.zeros(DType.F32, 1, 4);
        Tensor values = Tensor.zeros(DType.F64, 1);
        topk(p, new long[] {2, 0}, new double[] {Math.log(.25), Math.log(.5)})
                .options(DivergenceOptions.of(kind).withJsWeight(w))
                .values(values)
                .gradP(gradient)
                .run(backend);
        double[] x = p.toDoubles();
        assertEquals(ofOutcomes(kind, w, x, q), values.getDouble(0), 3e-7);
        double h = 1e-5;
        for (int k = 0; k < 4; k++) {
            double[] up = x.clone();
            double[] down = x.clone();
            up[k] += h;
            down[k] -= h;
            double slope = (ofOutcomes(kind, w, up, q) - ofOutcomes(kind, w, down, q)) / (2 * h);
            assertEquals(slope, gradient.getDouble(0, k), 3e-7, kind + " column " + k);
        }
    }

    private static double ofOutcomes(DivergenceKind kind, double w, double[] x, double[] q) {
        double[] all = softmax(x);
        double[] p = {all[2], all[0], all[1] + all[3]};
        double value = 0;
        for (int k = 0; k < 3; k++) {
            double m = w * p[k] + (1 - w) * q[k];
            value +=
                    switch (kind) {
                        case KL_PQ -> p[k] * Math.log(p[k] / q[k]);
                        case KL_QP -> q[k] * Math.log(q[k] / p[k]);
                        default ->
                                w * p[k] * Math.log(p[k] / m) + (1 - w) * q[k] * Math.log(q[k] / m);
                    };
        }
        return value;
    }

    /** All columns are known: it is the call on the logits; the temperature is p's alone. */
    @ParameterizedTest
    @MethodSource("backendsAndTopkKinds")
    void allColumnsKnownAreThePlainCall(Backend backend, DivergenceKind kind) {
        int columns = 41;
        Tensor p = Tensor.of(DType.F32, normal(7, 2, columns), 1, columns);
        double[] q = softmax(normal(8, 2, columns));
        Tensor weights = Tensor.of(DType.F32, q, 1, columns);
        DivergenceOptions options = DivergenceOptions.of(kind).withTemperature(2);
        Tensor[] out = {Tensor.zeros(DType.F32, 1, columns), Tensor.zeros(DType.F64, 1)};
        Tensor[] expected = {Tensor.zeros(DType.F32, 1, columns), Tensor.zeros(DType.F64, 1)};
        Divergence.ofWeights(p, weights)
                .options(options)
                .gradP(expected[0])
                .values(expected[1])
                .run(backend);
        topk(
                        p,
                        IntStream.range(0, columns).mapToLong(k -> columns - 1 - k).toArray(),
                        IntStream.range(0, columns)
                                .mapToDouble(k -> Math.log(q[columns - 1 - k]))
                                .toArray())
                .options(options)
                .gradP(out[0])
                .values(out[1])
                .run(backend);
        Expect.near("value", expected[1].toDoubles(), out[1].toDoubles(), 1e-5, 0, 1e-6);
        Expect.near("d p", expected[0].toDoubles(), out[0].toDoubles(), 2e-5, 1e-5);
    }

    /** A rest next to nothing on either side keeps its digits. */
    @ParameterizedTest
    @MethodSource("backendsAndTopkKinds")
    void theRestIsRightAtBothEnds(Backend backend, DivergenceKind kind) {
        for (double apart : new double[] {25, 60, -25, -60}) {
            double[] x = normal(9, .5, 123);
            x[5] += apart;
            x[70] += apart;
            double[] logps = {Math.log(.4), Math.log(.35)};
            Tensor wide = Tensor.of(DType.F64, Tensor.of(DType.F32, x, 1, 123).toDoubles(), 1, 123);
            Tensor[] expected = {Tensor.zeros(DType.F64, 1, 123), Tensor.zeros(DType.F64, 1)};
            Tensor[] actual = {Tensor.zeros(DType.F32, 1, 123), Tensor.zeros(DType.F64, 1)};
            topk(wide, new long[] {5, 70}, logps)
                    .options(DivergenceOptions.of(kind))
                    .gradP(expected[0])
                    .values(expected[1])
                    .run(Backend.reference());
            topk(Tensor.of(DType.F32, x, 1, 123), new long[] {5, 70}, logps)
                    .options(DivergenceOptions.of(kind))
                    .gradP(actual[0])
                    .values(actual[1])
                    .run(backend);
            Expect.near("value", expected[1].toDoubles(), actual[1].toDoubles(), 1e-5, 0);
            Expect.near("d p", expected[0].toDoubles(), actual[0].toDoubles(), 2e-5, 3e-6);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void infiniteOnlyWhereTheMathematicsIs(Backend backend) {
        double low = Double.NEGATIVE_INFINITY;
        double half = Math.log(.5) + 1e-9; // two of them leave nothing, however exp() rounds
        double[] flat = new double[4];
        assertEquals(
                Double.POSITIVE_INFINITY,
                value(backend, DivergenceKind.KL_PQ, flat, half, half)); // nothing left of q
        assertEquals(Math.log(2), value(backend, DivergenceKind.KL_QP, flat, half, half), 1e-6);
        assertEquals(
                Double.POSITIVE_INFINITY, value(backend, DivergenceKind.KL_PQ, flat, low, half));
        assertEquals(
                Double.POSITIVE_INFINITY,
                value(
                        backend,
                        DivergenceKind.KL_QP,
                        new double[] {0, low, 0, low},
                        half,
                        Math.log(.25)));
        assertEquals(
                0,
                value(backend, DivergenceKind.KL_PQ, new double[] {0, low, 0, low}, half, half),
                1e-7);
        assertTrue(
                Double.isNaN(
                        value(
                                backend,
                                DivergenceKind.JS,
                                new double[] {0, Double.NaN, 0, 0},
                                half,
                                half)));
    }

    /** Columns 0 and 2 are known. */
    private static double value(
            Backend backend, DivergenceKind kind, double[] logits, double... logps) {
        Tensor values = Tensor.zeros(DType.F64, 1);
        topk(Tensor.of(DType.F32, logits, 1, 4), new long[] {0, 2}, logps)
                .options(DivergenceOptions.of(kind))
                .values(values)
                .run(backend);
        return values.getDouble(0);
    }

    private static Divergence topk(Tensor p, long[] ids, double[] logps) {
        return Divergence.ofTopk(
                p, Tensor.of(ids, 1, ids.length), Tensor.of(DType.F64, logps, 1, ids.length));
    }

    // ---- Several models ----

    @ParameterizedTest
    @MethodSource("dev.logratio.DivergenceRun#backendsAndKinds")
    void theMeanOfSeveralModels(Backend backend, DivergenceKind kind) {
        int columns = 123;
        Tensor p = Tensor.of(DType.F32, normal(10, 2, 2 * columns), 2, columns);
        Tensor q = Tensor.of(DType.F32, normal(11, 2, 6 * columns), 3, 2, columns);
        double[] weights = {1, 0, 3};
        Tensor values = Tensor.zeros(DType.F64, 2);
        Tensor gradP = Tensor.zeros(DType.F32, 2, columns);
        Tensor gradQ = Tensor.zeros(DType.F32, 3, 2, columns).fill(Double.NaN);
        DivergenceOptions options = DivergenceOptions.of(kind);
        Divergence.ofModels(p, q, Tensor.of(DType.F32, weights, 3))
                .options(options)
                .values(values)
                .gradP(gradP)
                .gradQ(gradQ)
                .run(backend);
        double[] expected = new double[2];
        double[] ofP = new double[2 * columns];
        for (int m = 0; m < 3; m++) {
            DivergenceRun alone = new DivergenceRun(backend, p, q.select(0, m), options);
            double share = weights[m] / 4;
            for (int r = 0; r < 2; r++) {
                expected[r] += share * alone.values[r];
            }
            for (int k = 0; k < ofP.length; k++) {
                ofP[k] += share * alone.ofP[k];
            }
            double[] ofQ = gradQ.select(0, m).toDoubles();
            Expect.near("d q", scaled(share, alone.ofQ), ofQ, 1e-6, 1e-6);
        }
        Expect.near("values", expected, values.toDoubles(), 1e-12, 0);
        Expect.near("d p", ofP, gradP.toDoubles(), 1e-5, 1e-6);
    }

    @ParameterizedTest
    @EnumSource
    void slopesOfTheReference(DivergenceKind kind) {
        int columns = 7;
        double[] p = normal(12, 1, columns);
        double[] q = normal(13, 1, 2 * columns);
        Tensor weights = Tensor.of(DType.F64, new double[] {.5, 2}, 2);
        Tensor gradP = Tensor.zeros(DType.F64, 1, columns);
        Tensor gradQ = Tensor.zeros(DType.F64, 2, 1, columns);
        models(kind, p, q, weights).gradP(gradP).gradQ(gradQ).run(Backend.reference());
        double[] all = DoubleStream.concat(Arrays.stream(p), Arrays.stream(q)).toArray();
        double[] slopes =
                DoubleStream.concat(
                                Arrays.stream(gradP.toDoubles()), Arrays.stream(gradQ.toDoubles()))
                        .toArray();
        double h = 1e-6;
        for (int k = 0; k < all.length; k++) {
            double[] up = all.clone();
            double[] down = all.clone();
            up[k] += h;
            down[k] -= h;
            double slope = (loss(kind, up, weights) - loss(kind, down, weights)) / (2 * h);
            assertEquals(slope, slopes[k], 1e-8, kind + " " + k);
        }
    }

    private static double loss(DivergenceKind kind, double[] all, Tensor weights) {
        int columns = all.length / 3;
        Tensor loss = Tensor.zeros(DType.F64, 1);
        models(
                        kind,
                        Arrays.copyOf(all, columns),
                        Arrays.copyOfRange(all, columns, all.length),
                        weights)
                .loss(loss)
                .run(Backend.reference());
        return loss.getDouble(0);
    }

    private static Divergence models(DivergenceKind kind, double[] p, double[] q, Tensor weights) {
        return Divergence.ofModels(
                        Tensor.of(DType.F64, p, 1, p.length),
                        Tensor.of(DType.F64, q, 2, 1, p.length),
                        weights)
                .options(
                        DivergenceOptions.of(kind)
                                .withTemperature(1.5)
                                .withJsWeight(kind == DivergenceKind.JS ? .3 : .5));
    }

    // ---- Helpers ----

    private static double[] softmax(double[] logits) {
        double sum = Arrays.stream(logits).map(Math::exp).sum();
        return Arrays.stream(logits).map(x -> Math.exp(x) / sum).toArray();
    }

    private static double[] scaled(double factor, double[] values) {
        return Arrays.stream(values).map(x -> factor * x).toArray();
    }

    private static double[] padded(double[] values, int rows, int from, int to) {
        double[] padded = new double[rows * to];
        for (int r = 0; r < rows; r++) {
            System.arraycopy(values, r * from, padded, r * to, from);
        }
        return padded;
    }
}
