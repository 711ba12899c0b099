package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.PairRun.Batch;
import dev.logratio.loss.AlwaysNormalise;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.ExoPair;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Guard;
import dev.logratio.loss.Hinge;
import dev.logratio.loss.Ipo;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Normalise;
import dev.logratio.loss.Robust;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.SigmoidNorm;
import dev.logratio.loss.Variant;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/**
 * Scores of the f-divergences with their constants, against the formulas of TRL 1.13 ({@code
 * DPOTrainer._compute_loss}), copied here operation by operation in float64.
 */
class FDivergenceConstantsTest {
    private static final List<FDivergence> DIVERGENCES =
            List.of(
                    new FDivergence.ReverseKl(),
                    new FDivergence.ForwardKl(),
                    new FDivergence.Js(),
                    new FDivergence.Alpha(),
                    new FDivergence.Alpha(2.5),
                    new FDivergence.Alpha(-1),
                    new FDivergence.Alpha(1 + 5e-7));

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    static Stream<Arguments> divergences() {
        return backends()
                .flatMap(
                        backend ->
                                DIVERGENCES.stream()
                                        .map(divergence -> Arguments.of(backend, divergence)));
    }

    /** {@code chosen_scores} of TRL. */
    private static double score(FDivergence divergence, double logratio) {
        return switch (divergence) {
            case FDivergence.ReverseKl() -> logratio;
            case FDivergence.ForwardKl() -> 1 - Math.exp(-logratio);
            case FDivergence.Js() -> Math.log(2) + logSigmoid(logratio);
            case FDivergence.Alpha(double alpha) ->
                    Math.abs(alpha - 1) < 1e-6
                            ? logratio
                            : (Math.exp(Math.min((alpha - 1) * logratio, 80)) - 1)
                                    * (1 / (alpha - 1));
        };
    }

    /** {@code per_sequence_loss} of TRL; its sigmoid has no label smoothing. */
    private static double loss(
            Loss.OfMargin loss,
            double chosenScore,
            double rejectedScore,
            double chosenLength,
            double rejectedLength) {
        double delta = chosenScore - rejectedScore;
        double average =
                chosenScore / Math.max(chosenLength, 1)
                        - rejectedScore / Math.max(rejectedLength, 1);
        return switch (loss) {
            case Sigmoid l -> -logSigmoid(l.beta() * delta);
            case Hinge l -> Math.max(1 - l.beta() * delta, 0);
            case Ipo l -> Math.pow(average - 1 / (2 * l.beta()), 2);
            case ExoPair l ->
                    sigmoid(l.beta() * delta)
                                    * (logSigmoid(l.beta() * delta)
                                            - Math.log1p(-l.labelSmoothing()))
                            + sigmoid(-l.beta() * delta)
                                    * (logSigmoid(-l.beta() * delta)
                                            - Math.log(l.labelSmoothing()));
            case Robust l ->
                    (-(1 - l.labelSmoothing()) * logSigmoid(l.beta() * delta)
                                    + l.labelSmoothing() * logSigmoid(-l.beta() * delta))
                            / (1 - 2 * l.labelSmoothing());
            case DiscoPop l -> {
                double logits = delta * l.beta();
                double modulation = sigmoid(logits / l.tau());
                yield -logSigmoid(logits) * (1 - modulation) + Math.exp(-logits) * modulation;
            }
            case SigmoidNorm l -> -logSigmoid(l.beta() * average);
            default -> throw new AssertionError("TRL has no " + loss);
        };
    }

    private static double sigmoid(double x) {
        return 1 / (1 + Math.exp(-x));
    }

    private static double logSigmoid(double x) {
        return Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
    }

    /** Log-ratios of some nats, answers of 1 to 9 tokens. */
    private static Batch random(int pairs) {
        Random random = new Random(13);
        double[][] logps = new double[4][pairs];
        double[][] counts = new double[2][pairs];
        for (int i = 0; i < pairs; i++) {
            for (int side = 0; side < 2; side++) {
                counts[side][i] = 1 + random.nextInt(9);
                logps[side][i] = counts[side][i] * (-.05 - 1.5 * random.nextDouble());
                logps[side + 2][i] = logps[side][i] + 1.5 * random.nextGaussian();
            }
        }
        return new Batch(logps, counts, null);
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("divergences")
    void equalsTrl(Backend backend, FDivergence f) {
        Batch batch = random(40);
        for (Loss.OfMargin loss :
                List.of(
                        new Sigmoid(.7, 0, f),
                        new Hinge(.7, f),
                        new Ipo(.7, Normalise.ON, f),
                        new ExoPair(.7, .2, f),
                        new Robust(.7, .2, f),
                        new DiscoPop(.3, .4, Variant.REPO, f),
                        new SigmoidNorm(.7, AlwaysNormalise.ON, f))) {
            double[] expected = new double[40];
            for (int i = 0; i < 40; i++) {
                double chosen = score(f, batch.logps()[0][i] - batch.logps()[2][i]);
                double rejected = score(f, batch.logps()[1][i] - batch.logps()[3][i]);
                expected[i] =
                        loss(loss, chosen, rejected, batch.counts()[0][i], batch.counts()[1][i]);
            }
            Expect.near(
                    loss.toString(),
                    expected,
                    PairRun.of(backend, loss, batch).losses(),
                    1e-12,
                    1e-13);
        }
    }

    /** A policy that equals its reference has the scores 0, whatever the lengths. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("divergences")
    void zeroWhereThePolicyIsTheReference(Backend backend, FDivergence f) {
        Batch batch =
                Batch.of(new double[] {-3}, new double[] {-7}, new double[] {-3}, new double[] {-7})
                        .withCounts(new double[] {2}, new double[] {5});
        assertEquals(
                25,
                PairRun.of(backend, new Ipo(.1, Normalise.ON, f), batch).losses()[0],
                1e-14 * 25);
        assertEquals(
                Math.log(2),
                PairRun.of(backend, new SigmoidNorm(.1, AlwaysNormalise.ON, f), batch).losses()[0],
                1e-15);
    }

    /** Far from 0 the scores differ by less than the last place of their constants. */
    @ParameterizedTest
    @MethodSource("backends")
    void differencesKeepTheirDigits(Backend backend) {
        double far = Math.exp(-60) - Math.exp(-50);
        Expect.exact("forward_kl", -far, margin(backend, new FDivergence.ForwardKl(), 60, 50));
        Expect.exact("js", -far, margin(backend, new FDivergence.Js(), 60, 50));
        Expect.exact(
                "alpha",
                -2 * (Math.exp(-30) - Math.exp(-25)),
                margin(backend, new FDivergence.Alpha(), 60, 50));
        assertEquals(0, margin(backend, new FDivergence.ForwardKl(), -100, -90), 0);
        // To first order in alpha - 1 the difference is w - l + (alpha - 1) (w^2 - l^2) / 2.
        assertEquals(1 + 2e-6 * 1.5, margin(backend, new FDivergence.Alpha(1 + 2e-6), 2, 1), 1e-9);
    }

    /**
     * The difference of two scores, by the derivative of dlrml by beta_kl; with beta_mix 0 that is
     * {@code -D (S(-z) + exp(-z)) / 2}.
     */
    private static double margin(Backend backend, FDivergence f, double chosen, double rejected) {
        double betaKl = 1e-3;
        try (Arena arena = Arena.ofConfined()) {
            Tensor losses = Tensor.zeros(arena, DType.F64, 1);
            Tensor gradient = Tensor.zeros(arena, DType.F64, 1);
            PairLoss.of(
                            new Dlrml(betaKl, 0, .05, Guard.NONE, f),
                            scalar(arena, chosen),
                            scalar(arena, rejected))
                    .referenceFree()
                    .losses(losses)
                    .gradBetaKl(gradient)
                    .run(backend);
            double z = betaKl * (score(f, chosen) - score(f, rejected));
            return -gradient.getDouble(0) / (sigmoid(-z) + Math.exp(-z)) * 2;
        }
    }

    private static Tensor scalar(Arena arena, double value) {
        return Tensor.of(arena, DType.F64, new double[] {value}, 1);
    }

    /**
     * Exponents stop at 80, and the gradient with them, where scores are divided by lengths, too.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void clampedScoresOfMeans(Backend backend) {
        Batch batch =
                Batch.of(new double[] {-79, -81}, new double[2], new double[2], new double[2])
                        .withCounts(new double[] {2, 2}, new double[] {5, 5});
        PairRun run =
                PairRun.of(backend, new Ipo(.1, Normalise.ON, new FDivergence.ForwardKl()), batch);
        Expect.exact("loss", new double[] {Math.exp(158) / 4, Math.exp(160) / 4}, run.losses());
        Expect.exact("slope", -Math.exp(79) / 2 * Math.exp(79) / 2, run.gradient()[0][0]);
        assertTrue(run.gradient()[0][1] == 0);
    }
}
