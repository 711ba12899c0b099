package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Guard;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.Variant;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.text.MessageFormat;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.stream.Stream;

class PairLossTest {
    private static final double LN_2 = Math.log(2);

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /**
     * Values of the published trainer's formula in 50-digit arithmetic, gradients of the batch
     * mean.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void discoPopOfABatch(Backend backend) {
        Result result = run(backend, new DiscoPop(), new double[] {-4, -.5, .5, 10}, new double[4]);
        double[] losses = {
            0.80575178255453471, 0.82638345677636798, 0.86409224191654277, 0.60652464659806244
        };
        double[] gradient = {
            -0.0051549157460655395,
            0.0099984734673705975,
            0.0073883493430976523,
            -0.0075800000902915478
        };
        Expect.exact("loss", losses, result.loss);
        Expect.exact("d chosen", gradient, result.chosen);
        for (int i = 0; i < 4; i++) {
            assertEquals(-result.chosen[i], result.rejected[i]);
            assertEquals(-result.chosen[i], result.referenceChosen[i]);
            assertEquals(result.chosen[i], result.referenceRejected[i]);
        }
    }

    /** Log-probs summed and averaged over the tokens, and over the shared prefix of the pair. */
    @ParameterizedTest
    @MethodSource("backends")
    void dpoOfSumsAndAverages(Backend backend) {
        assertDpo(backend, .1, .5, 0.66845964801328629, -0.048750260351578966);
        assertDpo(backend, .1, 1.0 / 12, 0.68898919442371697, -0.049791667872291010);
        assertDpo(backend, .5, 1.0 / 12, 0.67253084541897491, -0.24479242005631765);
        assertDpo(backend, .1, .25, 0.68072530352552487, -0.049375032550048957);
        assertDpo(backend, .1, .0625, 0.69002706336449804, -0.049843750508624315);
    }

    private static void assertDpo(
            Backend backend, double beta, double margin, double loss, double slope) {
        Result result =
                run(backend, new Sigmoid().withBeta(beta), new double[] {margin}, new double[1]);
        Expect.exact("loss", loss, result.loss[0]);
        Expect.exact("slope", slope, result.chosen[0]);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void rewardsAndReferences(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor chosen = Tensor.zeros(arena, DType.F32, 2);
            Tensor rejected = Tensor.zeros(arena, DType.F32, 2);
            PairLoss.of(new Dlrml(.5, .2, .05), doubles(arena, -10, -20), doubles(arena, -30, -7))
                    .reference(doubles(arena, -11, -16), doubles(arena, -30.5, -9))
                    .rewards(chosen, rejected)
                    .run(backend);
            assertArrayEquals(new double[] {.5, -2}, chosen.toDoubles());
            assertArrayEquals(new double[] {.25, 1}, rejected.toDoubles());
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void upstreamGradientsWeighPairs(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor chosen = doubles(arena, 1, -2, 3);
            Tensor zero = doubles(arena, 0, 0, 0);
            Tensor each = Tensor.zeros(arena, DType.F64, 3);
            Tensor weighted = Tensor.zeros(arena, DType.F64, 3);
            Tensor betaKl = Tensor.zeros(arena, DType.F64, 1);
            Tensor ones = doubles(arena, 1, 1, 1);
            PairLoss.of(new Dlrml(), chosen, zero)
                    .referenceFree()
                    .gradLoss(ones)
                    .gradPolicy(each, null)
                    .run(backend);
            PairLoss.of(new Dlrml(), chosen, zero)
                    .referenceFree()
                    .gradLoss(doubles(arena, 2, 0, -1))
                    .gradPolicy(weighted, null)
                    .gradBetaKl(betaKl)
                    .run(backend);
            double[] expected = {2 * each.getDouble(0), 0, -each.getDouble(2)};
            Expect.exact("weighted", expected, weighted.toDoubles());
            double ofBetaKl = 0;
            double[] weights = {2, 0, -1};
            for (int i = 0; i < 3; i++) {
                Tensor one = Tensor.zeros(arena, DType.F64, 1);
                PairLoss.of(new Dlrml(), chosen.slice(0, i, i + 1), zero.slice(0, i, i + 1))
                        .referenceFree()
                        .gradBetaKl(one)
                        .run(backend);
                ofBetaKl += weights[i] * one.getDouble(0);
            }
            Expect.exact("grad_beta_kl", ofBetaKl, betaKl.getDouble(0));
        }
    }

    static Stream<Arguments> losses() {
        List<Loss.Paired> losses = new ArrayList<>();
        for (FDivergence f :
                List.of(
                        new FDivergence.ReverseKl(),
                        new FDivergence.ForwardKl(),
                        new FDivergence.Js(),
                        new FDivergence.Alpha(),
                        new FDivergence.Alpha(2.5),
                        new FDivergence.Alpha(1 + 1e-9))) {
            losses.add(new Dlrml(.3, .2, .15).withFDivergence(f));
            losses.add(new DiscoPop().withBeta(.3).withTau(.4).withFDivergence(f));
            losses.add(new DiscoPop().withBeta(.3).withVariant(Variant.OLD).withFDivergence(f));
            losses.add(new Sigmoid().withBeta(.7).withLabelSmoothing(.2).withFDivergence(f));
        }
        losses.add(new Dlrml(.6, .01, .15).withGuard(Guard.CLAMP));
        losses.add(new Dlrml(.6, -.1, .15));
        return backends()
                .flatMap(backend -> losses.stream().map(loss -> Arguments.of(backend, loss)));
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void gradientsAreTheSlopesOfTheLoss(Backend backend, Loss.Paired loss) {
        double[] at = {
            -.7, .4, 1.3, -2.1, .2, -.35
        }; // log-ratios of three pairs, chosen then rejected
        ToDoubleFunction<double[]> mean =
                ratios -> {
                    Result result = run(backend, loss, first(ratios), last(ratios));
                    return (result.loss[0] + result.loss[1] + result.loss[2]) / 3;
                };
        double[] slopes = FiniteDifference.gradient(mean, at, 1e-3);
        Result result = run(backend, loss, first(at), last(at));
        Expect.near("d chosen", first(slopes), result.chosen, 1e-8, 1e-9);
        Expect.near("d rejected", last(slopes), result.rejected, 1e-8, 1e-9);
        optionGradients(backend, loss, at, result);
    }

    private static void optionGradients(
            Backend backend, Loss.Paired loss, double[] at, Result result) {
        if (loss instanceof Dlrml d) {
            double[] slopes =
                    optionSlopes(
                            backend,
                            at,
                            new double[] {d.betaKl(), d.betaMix(), d.tau()},
                            o -> new Dlrml(o[0], o[1], o[2], d.guard(), d.fDivergence()));
            Expect.near(
                    "d options",
                    slopes,
                    new double[] {result.betaKl, result.betaMix, result.tau},
                    1e-8,
                    1e-9);
        } else if (loss instanceof DiscoPop d) {
            double[] slopes =
                    optionSlopes(
                            backend,
                            at,
                            new double[] {d.beta(), d.tau()},
                            o -> new DiscoPop(o[0], o[1], d.variant(), d.fDivergence()));
            Expect.near("d options", slopes, new double[] {result.beta, result.tau}, 1e-8, 1e-9);
        }
    }

    private static double[] optionSlopes(
            Backend backend, double[] at, double[] options, Function<double[], Loss.Paired> loss) {
        return FiniteDifference.gradient(
                o -> {
                    double[] losses = run(backend, loss.apply(o), first(at), last(at)).loss;
                    return (losses[0] + losses[1] + losses[2]) / 3;
                },
                options,
                1e-4);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void clampReplacesASmallBetaMix(Backend backend) {
        double[] chosen = {-30, -1, 0, 2};
        Result clamped =
                run(backend, new Dlrml(.5, .01, .05).withGuard(Guard.CLAMP), chosen, new double[4]);
        Result replaced = run(backend, new Dlrml(.5, .025, .05), chosen, new double[4]);
        Expect.exact("loss", replaced.loss, clamped.loss);
        Expect.exact("d chosen", replaced.chosen, clamped.chosen);
        assertEquals(0, clamped.betaMix);
        Expect.exact("d beta_kl", replaced.betaKl + .05 * replaced.betaMix, clamped.betaKl);
        assertEquals(0, replaced.tau + .5 * replaced.betaMix, 1e-9);
        assertEquals(0, clamped.tau);
        Result loose =
                run(
                        backend,
                        new Dlrml(.5, .025, .05).withGuard(Guard.CLAMP),
                        chosen,
                        new double[4]);
        assertEquals(replaced.betaMix, loose.betaMix, "at the bound nothing is clamped");
    }

    /** A tensor takes the place of an option, in the loss, the rewards and the guard. */
    @ParameterizedTest
    @MethodSource("backends")
    void learnedParameters(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor chosen = doubles(arena, -3, -.2, .7);
            Tensor rejected = doubles(arena, .1, .4, -2);
            for (Guard guard : new Guard[] {Guard.NONE, Guard.CLAMP}) {
                Tensor[][] out = new Tensor[2][6];
                for (int way = 0; way < 2; way++) {
                    Dlrml loss =
                            (way == 0 ? new Dlrml(.3, .01, .15) : new Dlrml(.9, -5, 7))
                                    .withGuard(guard);
                    Arrays.setAll(
                            out[way],
                            k -> Tensor.zeros(arena, DType.F64, k < 3 ? 3 : 1).fill(Double.NaN));
                    PairLoss call =
                            PairLoss.of(loss, chosen, rejected)
                                    .referenceFree()
                                    .losses(out[way][0])
                                    .rewards(out[way][1], null)
                                    .gradPolicy(out[way][2], null)
                                    .gradBetaKl(out[way][3])
                                    .gradBetaMix(out[way][4])
                                    .gradTau(out[way][5]);
                    if (way == 1) {
                        call.betaKl(doubles(arena, .3))
                                .betaMix(doubles(arena, .01))
                                .tau(doubles(arena, .15));
                    }
                    call.run(backend);
                }
                for (int k = 0; k < 6; k++) {
                    assertArrayEquals(out[0][k].toDoubles(), out[1][k].toDoubles());
                }
                assertEquals(guard == Guard.CLAMP, out[1][4].getDouble(0) == 0);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void warnLogsOnceACall(Backend backend) {
        List<String> messages = new ArrayList<>();
        Handler handler =
                new Handler() {
                    @Override
                    public void publish(LogRecord entry) {
                        messages.add(
                                MessageFormat.format(entry.getMessage(), entry.getParameters()));
                    }

                    @Override
                    public void flush() {}

                    @Override
                    public void close() {}
                };
        Logger logger = Logger.getLogger("dev.logratio");
        logger.addHandler(handler);
        logger.setUseParentHandlers(false);
        try {
            run(
                    backend,
                    new Dlrml(.5, .01, .05).withGuard(Guard.WARN),
                    new double[3],
                    new double[3]);
            run(backend, new Dlrml(.5, .01, .05), new double[3], new double[3]);
            run(backend, new Dlrml().withGuard(Guard.WARN), new double[3], new double[3]);
        } finally {
            logger.removeHandler(handler);
            logger.setUseParentHandlers(true);
        }
        assertEquals(
                List.of(
                        "dlrml: beta_mix 0.01 is below tau*beta_kl = 0.025, so the loss of bad"
                                + " pairs grows exponentially"),
                messages);
    }

    /** Limits of the maths where a log-prob is infinite; NaN stays within its pair. */
    @ParameterizedTest
    @MethodSource("backends")
    void infiniteLogRatios(Backend backend) {
        double infinity = Double.POSITIVE_INFINITY;
        double[] chosen = {-infinity, infinity, Double.NaN, 0};
        Result dlrml = run(backend, new Dlrml(), chosen, new double[4]);
        Expect.near(
                "loss",
                new double[] {infinity, 0, Double.NaN, (1 + LN_2) / 2},
                dlrml.loss,
                1e-9,
                0);
        assertEquals(-.05 / 4, dlrml.chosen[0], 1e-15);
        assertEquals(0, dlrml.chosen[1]);
        assertTrue(Double.isNaN(dlrml.chosen[2]));
        assertEquals(0.2693528194400547 / 4, dlrml.chosen[3], 1e-12);
        Result sigmoid = run(backend, new Sigmoid(), chosen, new double[4]);
        Expect.near("loss", new double[] {infinity, 0, Double.NaN, LN_2}, sigmoid.loss, 1e-9, 0);
        Expect.near("slope", new double[] {-.025, 0, Double.NaN, -.0125}, sigmoid.chosen, 1e-9, 0);
        Result only = run(backend, new Dlrml(), new double[] {-infinity, infinity}, new double[2]);
        assertEquals(infinity, only.betaKl);
        assertEquals(0, only.betaMix);
        assertEquals(0, only.tau);
    }

    /** Exponents of the scores stop at 80, and the gradient with them. */
    @ParameterizedTest
    @MethodSource("backends")
    void clampedScores(Backend backend) {
        Sigmoid forward = new Sigmoid().withFDivergence(new FDivergence.ForwardKl());
        Result result = run(backend, forward, new double[] {-79, -81}, new double[2]);
        Expect.exact(
                "loss",
                new double[] {.1 * (Math.exp(79) - 1), .1 * (Math.exp(80) - 1)},
                result.loss);
        Expect.exact("slope", -.1 * Math.exp(79) / 2, result.chosen[0]);
        assertTrue(result.chosen[1] == 0);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void noPairs(Backend backend) {
        Result result = run(backend, new Dlrml(), new double[0], new double[0]);
        assertEquals(0, result.loss.length);
        assertEquals(0, result.betaKl);
        assertEquals(0, result.betaMix);
        assertEquals(0, result.tau);
    }

    private static double[] first(double[] values) {
        return Arrays.copyOf(values, values.length / 2);
    }

    private static double[] last(double[] values) {
        return Arrays.copyOfRange(values, values.length / 2, values.length);
    }

    private static Tensor doubles(Arena arena, double... values) {
        return Tensor.of(arena, DType.F64, values, values.length);
    }

    /** Everything that a loss gives for log-ratios (policy log-probs under a reference of 0). */
    private static final class Result {
        double[] loss;
        double[] chosen;
        double[] rejected;
        double[] referenceChosen;
        double[] referenceRejected;
        double beta;
        double betaKl;
        double betaMix;
        double tau;
    }

    private static Result run(
            Backend backend, Loss.Paired loss, double[] chosen, double[] rejected) {
        try (Arena arena = Arena.ofConfined()) {
            int pairs = chosen.length;
            Tensor[] out = new Tensor[5];
            Tensor[] options = new Tensor[4];
            Arrays.setAll(out, i -> Tensor.zeros(arena, DType.F64, pairs));
            Arrays.setAll(options, i -> Tensor.zeros(arena, DType.F64, 1).fill(Double.NaN));
            Tensor zero = Tensor.zeros(arena, DType.F64, pairs);
            PairLoss call =
                    PairLoss.of(loss, doubles(arena, chosen), doubles(arena, rejected))
                            .reference(zero, zero)
                            .losses(out[0])
                            .gradPolicy(out[1], out[2])
                            .gradReference(out[3], out[4]);
            if (loss instanceof Dlrml) {
                call.gradBetaKl(options[1]).gradBetaMix(options[2]).gradTau(options[3]);
            } else if (loss instanceof DiscoPop) {
                call.gradBeta(options[0]).gradTau(options[3]);
            }
            call.run(backend);
            Result result = new Result();
            result.loss = out[0].toDoubles();
            result.chosen = out[1].toDoubles();
            result.rejected = out[2].toDoubles();
            result.referenceChosen = out[3].toDoubles();
            result.referenceRejected = out[4].toDoubles();
            result.beta = options[0].getDouble(0);
            result.betaKl = options[1].getDouble(0);
            result.betaMix = options[2].getDouble(0);
            result.tau = options[3].getDouble(0);
            return result;
        }
    }
}
