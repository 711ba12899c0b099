package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.loss.Orpo;
import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/**
 * Rows far from 0, where a float has no digits left for a logarithm, and tokens so certain that 1 -
 * p is below the last bit of 1.
 */
class FarAndCertainRowsTest {
    private static final double LOWEST = -Float.MAX_VALUE;
    private static final double INFINITY = Double.POSITIVE_INFINITY;
    private static final double LN2 = Math.log(2);

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    static Stream<Arguments> ties() {
        List<Arguments> cases = new ArrayList<>();
        for (Backend backend : backends().toList()) {
            for (DType dtype : List.of(DType.F32, DType.BF16, DType.F16)) {
                for (DType lse : List.of(DType.F32, DType.F64)) {
                    for (double offset : offsets(dtype)) {
                        cases.add(Arguments.of(backend, dtype, lse, offset));
                    }
                }
            }
        }
        return cases.stream();
    }

    private static List<Double> offsets(DType dtype) {
        return dtype == DType.F16
                ? List.of(-65504.0, 65504.0, -1e4)
                : List.of(-1e4, -65504.0, -1e9, 1e9, -3e38, 3e38);
    }

    /**
     * Two columns hold the maximum, and a third has nothing: each of the two has probability 1/2,
     * wherever the row lies.
     */
    @ParameterizedTest
    @MethodSource("ties")
    void tiedColumnsShareARowWhereverItLies(
            Backend backend, DType dtype, DType lseType, double offset) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = Tensor.of(arena, dtype, new double[] {offset, -INFINITY, offset}, 1, 3);
            double stored = logits.getDouble(0, 0);
            Tensor labels = Tensor.of(arena, new long[] {2}, 1);
            Tensor logp = zeros(arena, 1);
            Tensor lse = Tensor.zeros(arena, lseType, 1);
            Tensor entropy = zeros(arena, 1);
            Tensor mean = zeros(arena, 1);
            TokenLogprobs.of(logits, labels)
                    .logp(logp)
                    .lse(lse)
                    .entropy(entropy)
                    .meanLogit(mean)
                    .run(backend);
            Expect.exact("logp", -LN2, logp.getDouble(0));
            Expect.near("entropy", new double[] {LN2}, entropy.toDoubles(), 1e-6, 0);
            Expect.near("mean_logit", new double[] {stored}, mean.toDoubles(), 1e-6, 0);
            Tensor gradient = Tensor.zeros(arena, dtype, 1, 3);
            TokenLogprobsBackward.of(logits, labels, lse)
                    .gradLogp(Tensor.of(arena, DType.F32, new double[] {1}, 1))
                    .gradLogits(gradient)
                    .run(backend);
            Expect.asPromised(
                    "grad_logits", dtype, new double[] {-.5, 0, .5}, gradient.toDoubles());
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void everyColumnOfARowAtTheSmallestFloatHasTheSameProbability(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            double[] values = new double[16];
            Arrays.fill(values, LOWEST);
            Tensor logits = Tensor.of(arena, DType.F32, values, 2, 1, 8);
            Tensor gradient = Tensor.zeros(arena, DType.F32, 2, 1, 8);
            StepMetrics step =
                    PreferenceStep.of(
                                    new Sigmoid(),
                                    logits,
                                    Tensor.of(arena, new long[] {3, 3}, 2, 1))
                            .referenceFree()
                            .gradLogits(gradient)
                            .run(backend);
            double[] expected = new double[16];
            Arrays.fill(expected, 0, 8, .00625);
            Arrays.fill(expected, 8, 16, -.00625);
            expected[3] = -.04375;
            expected[11] = .04375;
            Expect.asPromised("grad_logits", DType.F32, expected, gradient.toDoubles());
            Expect.near("loss", new double[] {LN2}, new double[] {step.loss()}, 1e-7, 0);
            Expect.near(
                    "logits_chosen",
                    new double[] {LOWEST},
                    new double[] {step.logitsChosen()},
                    1e-6,
                    0);

            ScoringRuleOptions smoothed = ScoringRuleOptions.DEFAULT.withSmoothing(.1, false);
            Tensor rule = zeros(arena, 2);
            ScoringRule.of(logits.reshape(2, 8), Tensor.of(arena, new long[] {3, 3}, 2))
                    .options(smoothed)
                    .values(rule)
                    .run(backend);
            Expect.near("log", new double[] {Math.log(8), Math.log(8)}, rule.toDoubles(), 1e-6, 0);
        }
    }

    /** Sums of logits beyond float32 have a mean within it; columns at -inf take no part. */
    @ParameterizedTest
    @MethodSource("backends")
    void meansOfLogitsDoNotOverflow(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            int columns = 2 * 2051;
            double[] values = new double[columns];
            for (int k = 0; k < columns; k++) {
                values[k] = k % 4 == 0 ? LOWEST : k % 4 == 1 ? -INFINITY : 1;
            }
            Tensor logits = Tensor.of(arena, DType.F32, values, 1, columns);
            Tensor mean = zeros(arena, 1);
            TokenLogprobs.of(logits, Tensor.of(arena, new long[] {2}, 1))
                    .meanLogit(mean)
                    .run(backend);
            double lowest = Math.ceil(columns / 4.0);
            double others = columns - lowest - Math.ceil((columns - 1) / 4.0);
            Expect.near(
                    "mean_logit",
                    new double[] {lowest * LOWEST / (lowest + others)},
                    mean.toDoubles(),
                    1e-6,
                    0);
        }
    }

    /**
     * Values from 60-digit arithmetic: the gap, logp, 1 - p and the entropy of a row (0, 0, gap, 0,
     * 0).
     */
    private static final double[][] CERTAIN = {
        {20, -8.24461445576739678e-09, 8.24461442178056373e-09, 1.73136902891378681e-07},
        {36, -9.27809132097427262e-16, 9.27809132097426868e-16, 3.43289378876047951e-14},
        {40, -1.69934170211663555e-17, 1.69934170211663555e-17, 6.96730097867820563e-16},
        {80, -7.21940555138166119e-35, 7.21940555138166119e-35, 5.84771849661914534e-33},
        {100, -1.48803039040833445e-43, 1.48803039040833445e-43, 1.50291069431241769e-41},
    };

    static Stream<Arguments> certain() {
        return backends()
                .flatMap(backend -> Arrays.stream(CERTAIN).map(row -> Arguments.of(backend, row)));
    }

    @ParameterizedTest
    @MethodSource("certain")
    void aCertainTokenKeepsWhatTheOthersHave(Backend backend, double[] row) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = Tensor.of(arena, DType.F32, new double[] {0, 0, row[0], 0, 0}, 1, 5);
            Tensor labels = Tensor.of(arena, new long[] {2}, 1);
            Tensor logp = zeros(arena, 1);
            Tensor lse = zeros(arena, 1);
            Tensor entropy = zeros(arena, 1);
            TokenLogprobs.of(logits, labels).logp(logp).lse(lse).entropy(entropy).run(backend);
            Expect.near("logp", new double[] {row[1]}, logp.toDoubles(), 2e-6, 0, 0);
            Expect.near("entropy", new double[] {row[3]}, entropy.toDoubles(), 2e-6, 0, 0);
            Tensor alone = zeros(arena, 1);
            TokenLogprobs.of(logits, labels).logp(alone).run(backend);
            Expect.near("logp alone", new double[] {row[1]}, alone.toDoubles(), 2e-6, 0, 0);

            // An upstream gradient of the size that 1 / (1 - p) is, as orpo's.
            Tensor gradient = Tensor.zeros(arena, DType.F32, 1, 5);
            TokenLogprobsBackward.of(logits, labels, lse)
                    .gradLogp(Tensor.of(arena, DType.F64, new double[] {1 / row[2]}, 1))
                    .gradLogits(gradient)
                    .run(backend);
            Expect.asPromised(
                    "grad_logits",
                    DType.F32,
                    new double[] {-.25, -.25, 1, -.25, -.25},
                    gradient.toDoubles());

            Tensor rule = zeros(arena, 1);
            ScoringRule.of(logits, labels).values(rule).run(backend);
            if (row[0] < 80) { // a float32 holds the others' exponentials about the label
                Expect.near("log", new double[] {-row[1]}, rule.toDoubles(), 2e-6, 0, 0);
            }
        }
    }

    /** Values from 60-digit arithmetic: the gap of the rejected token, and the loss. */
    private static final double[][] ORPO = {
        {36, 4.404832441554448},
        {40, 4.804832441554448},
        {60, 6.804832441554448},
        {100, 10.804832441554447}
    };

    static Stream<Arguments> orpo() {
        return backends()
                .flatMap(
                        backend ->
                                Arrays.stream(ORPO)
                                        .map(row -> Arguments.of(backend, row[0], row[1])));
    }

    @ParameterizedTest
    @MethodSource("orpo")
    void orpoHoldsForAnyGap(Backend backend, double gap, double loss) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits =
                    Tensor.of(
                            arena,
                            DType.F32,
                            new double[] {1, 0, 0, 0, 0, 0, 0, gap, 0, 0},
                            2,
                            1,
                            5);
            Tensor gradient = Tensor.zeros(arena, DType.F32, 2, 1, 5);
            StepMetrics step =
                    PreferenceStep.of(new Orpo(), logits, Tensor.of(arena, new long[] {0, 2}, 2, 1))
                            .gradLogits(gradient)
                            .run(backend);
            Expect.near("loss", new double[] {loss}, new double[] {step.loss()}, 1e-6, 0);
            double[] expected = {
                -.695390325,
                .173847581,
                .173847581,
                .173847581,
                .173847581,
                -.025,
                -.025,
                .1,
                -.025,
                -.025
            };
            Expect.near("grad_logits", expected, gradient.toDoubles(), 2e-5, 3e-6);
            double norm = Math.sqrt(Arrays.stream(expected).map(g -> g * g).sum());
            Expect.near("grad_norm", new double[] {norm}, new double[] {step.gradNorm()}, 2e-5, 0);
            assertEquals(0, step.nonfinite());
        }
    }

    /** p is certain of its middle column; q is uniform, a thousand million below. */
    @ParameterizedTest
    @MethodSource("backends")
    void oneSideOfADivergenceLiesFarAway(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor p = Tensor.of(arena, DType.F32, new double[] {34, 78.5, 31.75}, 1, 3);
            Tensor q = Tensor.of(arena, DType.F32, new double[] {-1e9, -1e9, -1e9}, 1, 3);
            Tensor value = zeros(arena, 1);
            Tensor gradQ = Tensor.zeros(arena, DType.F32, 1, 3);
            Divergence.of(p, q)
                    .options(DivergenceOptions.of(DivergenceKind.JS))
                    .values(value)
                    .gradQ(gradQ)
                    .run(backend);
            Expect.near(
                    "js", new double[] {.5 * Math.log(1.5) + LN2 / 6}, value.toDoubles(), 1e-6, 0);
            Expect.near(
                    "grad_q",
                    new double[] {LN2 / 9, -2 * LN2 / 9, LN2 / 9},
                    gradQ.toDoubles(),
                    2e-5,
                    3e-6);

            Tensor far = Tensor.of(arena, DType.F32, new double[] {1e9, 7.8e8, 8.1e8}, 1, 3);
            Tensor near = Tensor.of(arena, DType.F32, new double[] {-1.15, 104, -10000}, 1, 3);
            Tensor gradP = Tensor.zeros(arena, DType.F32, 1, 3);
            Divergence.of(far, near)
                    .options(DivergenceOptions.of(DivergenceKind.KL_PQ))
                    .values(value)
                    .gradP(gradP)
                    .gradQ(gradQ)
                    .run(backend);
            Expect.near(
                    "kl_pq", new double[] {104 - near.getDouble(0, 0)}, value.toDoubles(), 1e-6, 0);
            Expect.near("grad_p", new double[] {0, 0, 0}, gradP.toDoubles(), 0, 0);
            Expect.near("grad_q", new double[] {-1, 1, 0}, gradQ.toDoubles(), 2e-5, 3e-6);
        }
    }

    /** p is certain, and its gradient is not what rounding leaves of two large terms. */
    @ParameterizedTest
    @MethodSource("backends")
    void aCertainRowHasNoGradientOfItsDivergence(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor p = Tensor.of(arena, DType.F32, new double[] {-198, 325.385, 258, 14.5}, 1, 4);
            for (double q : new double[] {-1e4, 0, 325}) {
                Tensor flat = Tensor.of(arena, DType.F32, new double[] {q, q, q, q}, 1, 4);
                Tensor value = zeros(arena, 1);
                Tensor gradP = Tensor.zeros(arena, DType.F32, 1, 4);
                Divergence.of(p, flat)
                        .options(DivergenceOptions.of(DivergenceKind.KL_PQ).withTemperature(.0214))
                        .values(value)
                        .gradP(gradP)
                        .run(backend);
                Expect.near("kl_pq", new double[] {Math.log(4)}, value.toDoubles(), 1e-6, 0);
                Expect.near("grad_p", new double[4], gradP.toDoubles(), 0, 0);
            }
        }
    }

    /**
     * One column of q at the smallest float: a cross entropy of 1e38, and its gradient, are
     * numbers.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void aColumnAtTheSmallestFloatHasAFiniteDivergence(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor p = Tensor.of(arena, DType.F32, new double[] {0, 0, 0, 0}, 1, 4);
            Tensor q = Tensor.of(arena, DType.F32, new double[] {0, LOWEST, 0, 0}, 1, 4);
            Tensor value = zeros(arena, 1);
            Tensor gradP = Tensor.zeros(arena, DType.F32, 1, 4);
            Divergence.of(p, q)
                    .options(DivergenceOptions.of(DivergenceKind.KL_PQ))
                    .values(value)
                    .gradP(gradP)
                    .run(backend);
            Expect.near("kl_pq", new double[] {-LOWEST / 4}, value.toDoubles(), 1e-6, 0);
            double each = -LOWEST / 16;
            Expect.near(
                    "grad_p",
                    new double[] {-each, 3 * each, -each, -each},
                    gradP.toDoubles(),
                    2e-5,
                    0);
        }
    }

    private static Tensor zeros(Arena arena, long size) {
        return Tensor.zeros(arena, DType.F64, size);
    }
}
