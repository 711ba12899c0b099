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

class TokenLogprobsTest {
    private static final double INFINITY = Double.POSITIVE_INFINITY;
    private static final double NAN = Double.NaN;
    private static final double LN_2 = Math.log(2);

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** softmax = (1/2, 1/4, 1/8, 1/8), shifted by 3. */
    @ParameterizedTest
    @MethodSource("backends")
    void powersOfTwo(Backend backend) {
        double[] logits = {3 - LN_2, 3 - 2 * LN_2, 3 - 3 * LN_2, 3 - 3 * LN_2};
        Outputs out =
                new Outputs(backend, DType.F32, logits, 4, new long[] {1}, TokenOptions.DEFAULT);
        out.expect(
                new double[] {-2 * LN_2, 3, 6 + Math.log(11. / 32), 1.75 * LN_2, 3 - 2.25 * LN_2},
                0);
    }

    /** Values from 50-digit arithmetic, the entropy's gradient among them. */
    @ParameterizedTest
    @MethodSource("backends")
    void threeLogits(Backend backend) {
        double[] logits = {1, 0, -1};
        double[] p = {0.66524095577482189, 0.24472847105479765, 0.090030573170380458};
        Outputs out =
                new Outputs(backend, DType.F32, logits, 3, new long[] {0}, TokenOptions.DEFAULT);
        out.expect(
                new double[] {
                    Math.log(p[0]),
                    1.4076059644443804,
                    2 * 1.4076059644443804 + Math.log(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]),
                    0.83239558183993887,
                    0
                },
                0);
        double[] ofLogp = {1 - p[0], -p[1], -p[2]};
        double[] ofEntropy = {-0.28258745107944229, 0.14077035746963013, 0.14181709360981216};
        Expect.asPromised("d logp", DType.F32, ofLogp, out.gradient(backend, 1, 0));
        Expect.asPromised("d entropy", DType.F32, ofEntropy, out.gradient(backend, 0, 1));
        double[] both = new double[3];
        Arrays.setAll(both, k -> -2 * ofLogp[k] + .5 * ofEntropy[k]);
        Expect.asPromised("d both", DType.F32, both, out.gradient(backend, -2, .5));
    }

    @ParameterizedTest
    @MethodSource("backends")
    void temperatureAndSoftcap(Backend backend) {
        TokenOptions options = new TokenOptions(-100, .5, 2);
        double[] logits = {1, 0, -1, 40};
        double[] z = new double[4];
        double sum = 0;
        double sum2 = 0;
        double mean = 0;
        for (int k = 0; k < 4; k++) {
            z[k] = 2 * Math.tanh(logits[k] / 2) / .5;
            sum += Math.exp(z[k]);
            sum2 += Math.exp(2 * z[k]);
            mean += z[k] / 4;
        }
        double entropy = 0;
        for (double value : z) {
            entropy -= Math.exp(value) / sum * (value - Math.log(sum));
        }
        Outputs out = new Outputs(backend, DType.F32, logits, 4, new long[] {0}, options);
        out.expect(
                new double[] {z[0] - Math.log(sum), Math.log(sum), Math.log(sum2), entropy, mean},
                3);
        double[] gradient = new double[4];
        for (int k = 0; k < 4; k++) {
            double slope = (1 - Math.pow(Math.tanh(logits[k] / 2), 2)) / .5;
            gradient[k] = ((k == 0 ? 1 : 0) - Math.exp(z[k]) / sum) * slope;
        }
        Expect.asPromised("d logp", DType.F32, gradient, out.gradient(backend, 1, 0));
    }

    @ParameterizedTest
    @MethodSource("backends")
    void minusInfinityIsProbabilityZero(Backend backend) {
        int vocabulary = 300;
        double[] logits = new double[vocabulary];
        Arrays.fill(logits, -INFINITY); // whole tiles of it, before and after the two that live
        logits[130] = 5;
        logits[131] = 5;
        for (double softcap : new double[] {0, 30}) {
            Outputs out =
                    new Outputs(
                            backend,
                            DType.F32,
                            logits,
                            vocabulary,
                            new long[] {131},
                            TokenOptions.DEFAULT.withSoftcap(softcap));
            double five = softcap == 0 ? 5 : 30 * Math.tanh(5. / 30);
            out.expect(new double[] {-LN_2, five + LN_2, 2 * five + LN_2, LN_2, five}, 130);
            double slope = softcap == 0 ? 1 : 1 / Math.pow(Math.cosh(5. / 30), 2);
            double[] gradient = new double[vocabulary];
            gradient[130] = -.5 * slope;
            gradient[131] = .5 * slope;
            Expect.asPromised("d logp", DType.F32, gradient, out.gradient(backend, 1, 0));
            Expect.near(
                    "d entropy", new double[vocabulary], out.gradient(backend, 0, 1), 0, 0, 1e-6);
        }
        Outputs masked =
                new Outputs(
                        backend,
                        DType.F32,
                        logits,
                        vocabulary,
                        new long[] {0},
                        TokenOptions.DEFAULT);
        assertEquals(-INFINITY, masked.logp.getDouble(0));
        double[] gradient = new double[vocabulary];
        gradient[130] = -.5;
        gradient[131] = -.5;
        Expect.asPromised(
                "d logp of a masked label", DType.F32, gradient, masked.gradient(backend, 1, 0));
    }

    @ParameterizedTest
    @MethodSource("backends")
    void brokenRowsStayAlone(Backend backend) {
        double[] logits = {
            1, 2, 3, //
            -INFINITY, -INFINITY, -INFINITY, //
            0, INFINITY, 1, //
            1, NAN, 7, //
            1, 2, 3
        };
        for (double softcap : new double[] {0, 5}) {
            TokenOptions options = TokenOptions.DEFAULT.withSoftcap(softcap);
            Outputs out =
                    new Outputs(
                            backend, DType.BF16, logits, 3, new long[] {2, 2, 2, 2, 2}, options);
            for (Tensor output :
                    new Tensor[] {out.logp, out.lse, out.lse2, out.entropy, out.mean}) {
                double[] values = output.toDoubles();
                assertTrue(
                        Double.isFinite(values[0]) && values[0] == values[4],
                        Arrays.toString(values));
                assertTrue(
                        Double.isNaN(values[1])
                                && Double.isNaN(values[2])
                                && Double.isNaN(values[3]),
                        Arrays.toString(values));
            }
            assertArrayEquals(new long[] {2, 0, 1, 1, 2}, out.argmax.toLongs());
            double[] gradient = out.gradient(backend, 1, 0);
            for (int k = 0; k < gradient.length; k++) {
                assertEquals(
                        k >= 3 && k < 12,
                        Double.isNaN(gradient[k]),
                        "gradient " + k + " is " + gradient[k]);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void ignoredRows(Backend backend) {
        double[] logits = {1, 2, 3, NAN, 0, 0, 4, 5, 6};
        TokenOptions options = TokenOptions.DEFAULT.withIgnoreIndex(7);
        Outputs out = new Outputs(backend, DType.F32, logits, 3, new long[] {7, 7, 0}, options);
        assertEquals(0, out.logp.getDouble(0));
        assertEquals(0, out.logp.getDouble(1));
        assertEquals(out.lse.getDouble(0) + 3, out.lse.getDouble(2), 1e-6);
        assertTrue(out.entropy.getDouble(0) > .8);
        assertEquals(2, out.argmax.getLong(0));
        double[] gradient = out.gradient(backend, 1, 1);
        assertArrayEquals(new double[6], Arrays.copyOf(gradient, 6));
        assertTrue(gradient[6] != 0);

        Outputs all = new Outputs(backend, DType.F32, logits, 3, new long[] {7, 7, 7}, options);
        assertArrayEquals(new double[3], all.logp.toDoubles());
        assertArrayEquals(new double[9], all.gradient(backend, 1, 1));
    }

    @ParameterizedTest
    @MethodSource("backends")
    void anIgnoreIndexInsideTheVocabulary(Backend backend) {
        TokenOptions options = TokenOptions.DEFAULT.withIgnoreIndex(0);
        Outputs out =
                new Outputs(
                        backend,
                        DType.F32,
                        new double[] {1, 2, 3, 4},
                        2,
                        new long[] {0, 1},
                        options);
        Expect.asPromised(
                "logp",
                DType.F32,
                new double[] {0, -Math.log1p(Math.exp(-1))},
                out.logp.toDoubles());
    }

    @ParameterizedTest
    @MethodSource("backends")
    void tiesTakeTheLowestIndex(Backend backend) {
        double[] logits = new double[1000];
        logits[17] = 2;
        logits[18] = 2;
        logits[999] = 2;
        Outputs out =
                new Outputs(
                        backend, DType.F32, logits, 1000, new long[] {17}, TokenOptions.DEFAULT);
        assertEquals(17, out.argmax.getLong(0));
        logits[400] = NAN;
        logits[900] = NAN;
        out = new Outputs(backend, DType.F32, logits, 1000, new long[] {17}, TokenOptions.DEFAULT);
        assertEquals(400, out.argmax.getLong(0));
        out =
                new Outputs(
                        backend,
                        DType.F32,
                        new double[] {-3, -0.0, 0, -1},
                        4,
                        new long[] {0},
                        TokenOptions.DEFAULT);
        assertEquals(1, out.argmax.getLong(0));
    }

    /** No upstream gradient, no read: what stands in such a row does not matter. */
    @ParameterizedTest
    @MethodSource("backends")
    void rowsWithoutAnUpstreamGradientGetZero(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = Tensor.of(arena, DType.F32, new double[] {NAN, 1, 1, 2}, 2, 2);
            Tensor labels = Tensor.of(arena, new long[] {0, 0}, 2);
            Tensor lse =
                    Tensor.of(
                            arena, DType.F64, new double[] {NAN, 2 + Math.log1p(Math.exp(-1))}, 2);
            TokenLogprobsBackward.of(logits, labels, lse)
                    .gradLogp(Tensor.of(arena, DType.F64, new double[] {0, 1}, 2))
                    .inPlace()
                    .run(backend);
            double p = 1 / (1 + Math.exp(1));
            Expect.asPromised(
                    "gradient", DType.F32, new double[] {0, 0, 1 - p, p - 1}, logits.toDoubles());
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void noRows(Backend backend) {
        Outputs out =
                new Outputs(
                        backend, DType.F32, new double[0], 5, new long[0], TokenOptions.DEFAULT);
        assertEquals(0, out.logp.elementCount());
        assertEquals(0, out.gradient(backend, 1, 1).length);
    }

    /**
     * The reference alone: large values, and a probability so close to 1 that a naive difference
     * would lose it.
     */
    @Test
    void theReferenceLosesNothing() {
        Backend reference = Backend.reference();
        double[] logits = {1e4, 1e4 - 40, -1e4};
        Outputs out =
                new Outputs(reference, DType.F64, logits, 3, new long[] {0}, TokenOptions.DEFAULT);
        Expect.exact("logp", -Math.log1p(Math.exp(-40)), out.logp.getDouble(0));
        Expect.exact("entropy", Math.exp(-40) * 41, out.entropy.getDouble(0));
        Expect.exact("lse", 1e4, out.lse.getDouble(0));
    }

    @Test
    void theReferencesGradientsAreSlopes() {
        Backend reference = Backend.reference();
        Random random = new Random(5);
        for (TokenOptions options :
                new TokenOptions[] {
                    TokenOptions.DEFAULT,
                    new TokenOptions(-100, .7, 0),
                    new TokenOptions(-100, 1.3, 2.5)
                }) {
            double[] logits = random.doubles(12, -3, 3).toArray();
            long[] labels = {2, -100, 0};
            Outputs out = new Outputs(reference, DType.F64, logits, 4, labels, options);
            double[] slopes =
                    FiniteDifference.gradient(
                            at -> {
                                Outputs moved =
                                        new Outputs(reference, DType.F64, at, 4, labels, options);
                                return -1.5 * (moved.logp.getDouble(0) + moved.logp.getDouble(2))
                                        + .8
                                                * (moved.entropy.getDouble(0)
                                                        + moved.entropy.getDouble(2));
                            },
                            logits,
                            1e-3);
            Expect.near("gradient", slopes, out.gradient(reference, -1.5, .8), 1e-8, 1e-9);
        }
    }

    /** Every output of rows of logits, F64, and the gradient. */
    private static final class Outputs {
        final Arena arena = Arena.ofAuto();
        final Tensor logits;
        final Tensor labels;
        final TokenOptions options;
        final Tensor logp;
        final Tensor lse;
        final Tensor lse2;
        final Tensor entropy;
        final Tensor argmax;
        final Tensor mean;

        Outputs(
                Backend backend,
                DType dtype,
                double[] values,
                int vocabulary,
                long[] labels,
                TokenOptions options) {
            this.options = options;
            this.labels = Tensor.of(arena, labels, labels.length);
            logits = Tensor.of(arena, dtype, values, labels.length, vocabulary);
            logp = Tensor.zeros(arena, DType.F64, labels.length);
            lse = Tensor.zeros(arena, DType.F64, labels.length);
            lse2 = Tensor.zeros(arena, DType.F64, labels.length);
            entropy = Tensor.zeros(arena, DType.F64, labels.length);
            argmax = Tensor.zeros(arena, DType.I32, labels.length);
            mean = Tensor.zeros(arena, DType.F64, labels.length);
            TokenLogprobs.of(logits, this.labels)
                    .tokenOptions(options)
                    .logp(logp)
                    .lse(lse)
                    .lse2(lse2)
                    .entropy(entropy)
                    .argmax(argmax)
                    .meanLogit(mean)
                    .run(backend);
        }

        void expect(double[] logpLseLse2EntropyMean, int bestIndex) {
            Tensor[] outputs = {logp, lse, lse2, entropy, mean};
            String[] names = {"logp", "lse", "lse2", "entropy", "mean_logit"};
            for (int i = 0; i < outputs.length; i++) {
                double[] expected = {logpLseLse2EntropyMean[i]};
                Expect.near(names[i], expected, outputs[i].toDoubles(), 2e-5, 3e-6, 1e-7);
            }
            assertEquals(bestIndex, argmax.getLong(0));
        }

        double[] gradient(Backend backend, double gradLogp, double gradEntropy) {
            Tensor gradient = Tensor.zeros(arena, logits.dtype(), logits.shape()).fill(NAN);
            TokenLogprobsBackward.of(logits, labels, lse)
                    .tokenOptions(options)
                    .entropy(entropy)
                    .gradLogp(Tensor.zeros(arena, DType.F64, labels.shape()).fill(gradLogp))
                    .gradEntropy(Tensor.zeros(arena, DType.F64, labels.shape()).fill(gradEntropy))
                    .gradLogits(gradient)
                    .run(backend);
            return gradient.toDoubles();
        }
    }
}
