package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.loss.ApoZeroUnpaired;
import dev.logratio.loss.Bco;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;

class UnpairedLossTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    static Stream<Arguments> losses() {
        return backends()
                .flatMap(
                        backend ->
                                TestLosses.all(Loss.Unpaired.class).stream()
                                        .map(loss -> Arguments.of(backend, loss)));
    }

    /**
     * A call in float64 and what came of it.
     *
     * @param gradient with respect to the policy's log-probs, then the reference's
     */
    private record Run(double[] losses, double[] rewards, double kl, double[][] gradient) {
        /** The KL log-ratios may be null, as may the upstream gradients. */
        static Run of(
                Backend backend,
                Loss.Unpaired loss,
                double[] policy,
                double[] reference,
                boolean[] chosen,
                double[] klRatios,
                double[] upstream) {
            try (Arena arena = Arena.ofConfined()) {
                int count = policy.length;
                Tensor[] out = new Tensor[5];
                Arrays.setAll(
                        out,
                        k -> Tensor.zeros(arena, DType.F64, k == 2 ? 1 : count).fill(Double.NaN));
                UnpairedLoss call =
                        UnpairedLoss.of(
                                        loss,
                                        doubles(arena, policy),
                                        doubles(arena, reference),
                                        Tensor.of(arena, chosen, count))
                                .losses(out[0])
                                .rewards(out[1])
                                .kl(out[2])
                                .gradPolicy(out[3])
                                .gradReference(out[4]);
                if (klRatios != null) {
                    call.klLogps(
                            doubles(arena, klRatios),
                            Tensor.zeros(arena, DType.F64, klRatios.length));
                }
                if (upstream != null) {
                    call.gradLoss(doubles(arena, upstream));
                }
                call.run(backend);
                return new Run(
                        out[0].toDoubles(),
                        out[1].toDoubles(),
                        out[2].getDouble(0),
                        new double[][] {out[3].toDoubles(), out[4].toDoubles()});
            }
        }

        private static Tensor doubles(Arena arena, double[] values) {
            return Tensor.of(arena, DType.F64, values, values.length);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void kto(Backend backend) {
        Kto loss = new Kto(.5, 2, 3);
        double[] policy = {-1, -4};
        double[] reference = {-3, -3.5};
        boolean[] chosen = {true, false};
        double s1 = 1 / (1 + Math.exp(.5 * (2 - .75))); // 1 - S(beta (d - kl)), d = 2
        double s2 = 1 / (1 + Math.exp(.5 * (.75 + .5))); // 1 - S(beta (kl - d)), d = -.5
        Run run = Run.of(backend, loss, policy, reference, chosen, new double[] {2, -.5}, null);
        assertEquals(.75, run.kl);
        Expect.exact("loss", new double[] {2 * s1, 3 * s2}, run.losses);
        Expect.exact("rewards", new double[] {1, -.25}, run.rewards);
        double[] slopes = {-.5 * s1 * (1 - s1), .75 * s2 * (1 - s2)}; // of the mean of two
        Expect.exact("d policy", slopes, run.gradient[0]);
        Expect.exact("d reference", new double[] {-slopes[0], -slopes[1]}, run.gradient[1]);
        Run negative =
                Run.of(backend, loss, policy, reference, chosen, new double[] {-2, .5}, null);
        assertEquals(0, negative.kl, "the mean is below 0");
        Run none = Run.of(backend, loss, policy, reference, chosen, new double[0], null);
        Run absent = Run.of(backend, loss, policy, reference, chosen, null, null);
        assertArrayEquals(negative.losses, none.losses);
        assertArrayEquals(negative.losses, absent.losses);
        assertEquals(0, absent.kl);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void apoZeroAndBco(Backend backend) {
        double[] policy = {-1, -4};
        double[] reference = {-3, -3.5};
        boolean[] chosen = {true, false};
        double[] upstream = {1, 1};
        double s1 = 1 / (1 + Math.exp(1)); // 1 - S(beta d)
        double s2 = 1 / (1 + Math.exp(.25)); // S(beta d)
        Run apo =
                Run.of(backend, new ApoZeroUnpaired(.5), policy, reference, chosen, null, upstream);
        Expect.exact("apo_zero_unpaired", new double[] {s1, s2}, apo.losses);
        Expect.exact(
                "its slopes",
                new double[] {-.5 * s1 * (1 - s1), .5 * s2 * (1 - s2)},
                apo.gradient[0]);
        Run bco = Run.of(backend, new Bco(.5, 3, .5), policy, reference, chosen, null, upstream);
        Expect.exact(
                "bco",
                new double[] {Math.log1p(Math.exp(-.5)), 3 * Math.log1p(Math.exp(-.75))},
                bco.losses);
        Expect.exact(
                "its slopes",
                new double[] {-.5 / (1 + Math.exp(.5)), 1.5 / (1 + Math.exp(.75))},
                bco.gradient[0]);
        assertEquals(0, bco.kl);
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void gradientsAreTheSlopesAndBackendsAgree(Backend backend, Loss.Unpaired loss) {
        for (int count : new int[] {1, 2, 8, 41, 123}) {
            Random random = new Random(count);
            double[] policy = random.doubles(count, -3, 0).toArray();
            double[] reference = random.doubles(count, -3, 0).toArray();
            double[] upstream = random.doubles(count, -1, 2).toArray();
            double[] kl = loss.usesKl() ? random.doubles(5, -.5, 1).toArray() : null;
            boolean[] chosen = new boolean[count];
            for (int i = 0; i < count; i++) {
                chosen[i] = random.nextBoolean();
            }
            Run run = Run.of(backend, loss, policy, reference, chosen, kl, upstream);
            double[] slopes =
                    FiniteDifference.gradient(
                            x -> {
                                double[] losses =
                                        Run.of(backend, loss, x, reference, chosen, kl, upstream)
                                                .losses;
                                double sum = 0;
                                for (int i = 0; i < count; i++) {
                                    sum += upstream[i] * losses[i];
                                }
                                return sum;
                            },
                            policy,
                            1e-3);
            Expect.near("gradient", slopes, run.gradient[0], 1e-7, 1e-8, 1e-12);
            Expect.near(
                    "d reference",
                    Arrays.stream(run.gradient[0]).map(g -> -g).toArray(),
                    run.gradient[1],
                    0,
                    0);
            Run expected =
                    Run.of(Backend.reference(), loss, policy, reference, chosen, kl, upstream);
            Expect.near("loss", expected.losses, run.losses, 1e-12, 0);
            Expect.near("gradient", expected.gradient[0], run.gradient[0], 1e-12, 0);
        }
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void extremes(Backend backend, Loss.Unpaired loss) {
        double infinity = Double.POSITIVE_INFINITY;
        double[] policy = {
            -5000, -5000, -700, 5000, 5000, 0, infinity, -infinity, infinity, -infinity, Double.NaN
        };
        boolean[] chosen = {true, false, true, false, true, true, true, true, false, false, true};
        Run run = Run.of(backend, loss, policy, new double[policy.length], chosen, null, null);
        Run expected =
                Run.of(
                        Backend.reference(),
                        loss,
                        policy,
                        new double[policy.length],
                        chosen,
                        null,
                        null);
        int last = policy.length - 1;
        assertFalse(
                Arrays.stream(run.losses, 0, last).anyMatch(Double::isNaN),
                Arrays.toString(run.losses));
        assertFalse(
                Arrays.stream(run.gradient[0], 0, last).anyMatch(Double::isNaN),
                Arrays.toString(run.gradient[0]));
        assertTrue(Double.isNaN(run.losses[last]));
        Expect.near("losses", expected.losses, run.losses, 1e-9, 0, 1e-300);
        Expect.near("gradient", expected.gradient[0], run.gradient[0], 1e-9, 0, 1e-300);
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void noExamples(Backend backend, Loss.Unpaired loss) {
        Run run = Run.of(backend, loss, new double[0], new double[0], new boolean[0], null, null);
        assertEquals(0, run.losses.length);
        assertEquals(0, run.kl);
    }
}
