package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;

/** The upstream gradient of log-sum-exps, which is what a z-loss hands back. */
class LseGradientTest {
    private static final double[] LOGITS = {1, 0, -1, .5, 2, -3, 4, 0};
    private static final long IGNORED = -100;

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** What d (g logp + h entropy + m lse) / d logits is, term by term. */
    private static double[] expected(
            double[] logits, int label, double g, double h, double m, TokenOptions options) {
        double[] z = new double[logits.length];
        double sum = 0;
        for (int k = 0; k < z.length; k++) {
            double cap = options.softcap();
            z[k] = (cap == 0 ? logits[k] : cap * Math.tanh(logits[k] / cap));
            z[k] /= options.temperature();
            sum += Math.exp(z[k]);
        }
        double entropy = 0;
        for (double value : z) {
            entropy -= Math.exp(value) / sum * (value - Math.log(sum));
        }
        double[] gradient = new double[z.length];
        for (int k = 0; k < z.length; k++) {
            double p = Math.exp(z[k]) / sum;
            double tanh = options.softcap() == 0 ? 0 : Math.tanh(logits[k] / options.softcap());
            double slope = (1 - tanh * tanh) / options.temperature();
            double ofEntropy = -p * (Math.log(p) + entropy);
            gradient[k] = (g * ((k == label ? 1 : 0) - p) + h * ofEntropy + m * p) * slope;
        }
        return gradient;
    }

    private static double[] gradient(
            Backend backend,
            double[] logits,
            long[] labels,
            TokenOptions options,
            double[] g,
            double[] h,
            double[] m) {
        try (Arena arena = Arena.ofConfined()) {
            long columns = logits.length / labels.length;
            Tensor rows = Tensor.of(arena, DType.F32, logits, labels.length, columns);
            Tensor ofRows = Tensor.of(arena, labels, labels.length);
            Tensor lse = Tensor.zeros(arena, DType.F64, labels.length);
            Tensor entropy = Tensor.zeros(arena, DType.F64, labels.length);
            TokenLogprobs.of(rows, ofRows)
                    .tokenOptions(options)
                    .lse(lse)
                    .entropy(entropy)
                    .run(backend);
            TokenLogprobsBackward call =
                    TokenLogprobsBackward.of(rows, ofRows, lse)
                            .tokenOptions(options)
                            .gradLse(Tensor.of(arena, DType.F64, m, labels.length))
                            .inPlace();
            if (g != null) {
                call.gradLogp(Tensor.of(arena, DType.F64, g, labels.length));
            }
            if (h != null) {
                call.entropy(entropy).gradEntropy(Tensor.of(arena, DType.F64, h, labels.length));
            }
            call.run(backend);
            return rows.toDoubles();
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void besideTheOthersAndAlone(Backend backend) {
        for (TokenOptions options :
                new TokenOptions[] {
                    TokenOptions.DEFAULT,
                    TokenOptions.DEFAULT.withTemperature(.7),
                    new TokenOptions(IGNORED, 1.3, 2.5)
                }) {
            double[] all =
                    gradient(
                            backend,
                            LOGITS,
                            new long[] {3},
                            options,
                            new double[] {-.4},
                            new double[] {.3},
                            new double[] {1.7});
            Expect.asPromised("all", DType.F32, expected(LOGITS, 3, -.4, .3, 1.7, options), all);
            double[] beside =
                    gradient(
                            backend,
                            LOGITS,
                            new long[] {6},
                            options,
                            new double[] {2},
                            null,
                            new double[] {-.25});
            Expect.asPromised(
                    "beside logp", DType.F32, expected(LOGITS, 6, 2, 0, -.25, options), beside);
            double[] alone =
                    gradient(
                            backend, LOGITS, new long[] {1}, options, null, null, new double[] {3});
            Expect.asPromised("alone", DType.F32, expected(LOGITS, 1, 0, 0, 3, options), alone);
        }
    }

    /** Equal upstreams of logp and lse leave the label's 1 alone. */
    @ParameterizedTest
    @MethodSource("backends")
    void whatCancels(Backend backend) {
        double[] one = {1};
        double[] left =
                gradient(backend, LOGITS, new long[] {2}, TokenOptions.DEFAULT, one, null, one);
        Expect.asPromised("left", DType.F32, new double[] {0, 0, 1, 0, 0, 0, 0, 0}, left);
    }

    /** A row that is ignored takes none, nor does one without any upstream. */
    @ParameterizedTest
    @MethodSource("backends")
    void ignoredRowsTakeNone(Backend backend) {
        double[] gradient =
                gradient(
                        backend,
                        new double[] {1, 2, 3, 4, 5, 7, 0, 0, 1},
                        new long[] {IGNORED, 0, 2},
                        TokenOptions.DEFAULT,
                        null,
                        null,
                        new double[] {5, 0, 1});
        assertArrayEquals(new double[6], Arrays.copyOf(gradient, 6));
        double rest = 1 / (2 + Math.E);
        Expect.asPromised(
                "the last row",
                DType.F32,
                new double[] {rest, rest, Math.E * rest},
                Arrays.copyOfRange(gradient, 6, 9));
    }

    /** Long rows, cut into segments, and one that float32 alone would not hold. */
    @ParameterizedTest
    @MethodSource("backends")
    void longRows(Backend backend) {
        double[] logits = new Random(3).doubles(70_001, -4, 4).toArray();
        for (int k = 0; k < logits.length; k++) {
            logits[k] = (float) logits[k];
        }
        double[] expected = expected(logits, 40_000, 0, 0, 1e3, TokenOptions.DEFAULT);
        double[] actual =
                gradient(
                        backend,
                        logits,
                        new long[] {40_000},
                        TokenOptions.DEFAULT,
                        null,
                        null,
                        new double[] {1e3});
        Expect.near("gradient", expected, actual, 2e-5, 1e-7);
    }

    @Test
    void theReferencesGradientIsASlope() {
        Backend reference = Backend.reference();
        double[] slopes =
                FiniteDifference.gradient(
                        at -> {
                            try (Arena arena = Arena.ofConfined()) {
                                Tensor lse = Tensor.zeros(arena, DType.F64, 1);
                                Tensor logp = Tensor.zeros(arena, DType.F64, 1);
                                TokenLogprobs.of(
                                                Tensor.of(arena, DType.F64, at, 1, at.length),
                                                Tensor.of(arena, new long[] {4}, 1))
                                        .tokenOptions(new TokenOptions(IGNORED, .8, 3))
                                        .lse(lse)
                                        .logp(logp)
                                        .run(reference);
                                return .6 * lse.getDouble(0) - logp.getDouble(0);
                            }
                        },
                        LOGITS,
                        1e-3);
        double[] gradient =
                gradient(
                        reference,
                        LOGITS,
                        new long[] {4},
                        new TokenOptions(IGNORED, .8, 3),
                        new double[] {-1},
                        null,
                        new double[] {.6});
        Expect.near("gradient", slopes, gradient, 1e-6, 1e-7); // the rows are F32
    }
}
