package dev.logratio;

import static dev.logratio.StepRun.IGNORE;
import static dev.logratio.StepRun.PAIRS;
import static dev.logratio.StepRun.TAIL;
import static dev.logratio.StepRun.TOKENS;
import static dev.logratio.StepRun.one;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.StepRun.Batch;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Ipo;
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Sft;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.SimPo;
import dev.logratio.loss.WeightedLoss;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** A preference step with every loss, and with several of them. */
class StepLossesTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    static Stream<Arguments> losses() {
        return backends()
                .flatMap(
                        backend ->
                                TestLosses.all().stream().map(loss -> Arguments.of(backend, loss)));
    }

    /** The step equals the operations it is made of, run on the reference. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void equalsTheChain(Backend backend, Loss.Paired loss) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            StepRun step = StepRun.of(backend, batch, one(loss), s -> s.sequenceOptions(TAIL));
            double[][] logps = {
                chosen(step.logps()),
                rejected(step.logps()),
                chosen(batch.reference.toDoubles()),
                rejected(batch.reference.toDoubles())
            };
            double[] counts =
                    loss.dividesByFullLength()
                            ? StepRun.of(backend, batch, one(loss), s -> s).counts()
                            : step.counts();
            PairRun pairs =
                    PairRun.of(
                            Backend.reference(),
                            loss,
                            PairRun.Batch.of(logps).withCounts(chosen(counts), rejected(counts)));
            double[] losses = new double[PAIRS];
            for (int k = 0; k < pairs.losses().length; k++) {
                losses[k % PAIRS] += pairs.losses()[k] / loss.lossesPerPair();
            }
            Expect.asPromised("losses", DType.F32, losses, step.losses());
            assertEquals(
                    Arrays.stream(losses).average().orElseThrow(),
                    step.metrics().loss(),
                    2e-5 * Math.abs(step.metrics().loss()));
            assertEquals(
                    Arrays.stream(pairs.rewards()[0]).average().orElseThrow(),
                    step.metrics().rewardsChosen(),
                    1e-5);
            assertEquals(
                    Arrays.stream(pairs.rewards()[1]).average().orElseThrow(),
                    step.metrics().rewardsRejected(),
                    1e-5);
            double[] gradLogps =
                    IntStream.range(0, 2 * PAIRS)
                            .mapToDouble(b -> pairs.gradient()[b / PAIRS][b % PAIRS])
                            .toArray();
            Expect.asPromised(
                    "gradient", DType.F32, gradient(arena, batch, gradLogps), step.gradient());
        }
    }

    private static double[] gradient(Arena arena, Batch batch, double[] gradLogps) {
        Tensor counted = Tensor.zeros(arena, DType.F32, batch.mask.shape()).copyFrom(batch.mask);
        for (int b = 0; b < 2 * PAIRS; b++) {
            counted.setDouble(0, b, b % TOKENS); // ignored
        }
        Tensor gradTokens = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
        SequenceLogps.of(null, counted)
                .sequenceOptions(TAIL)
                .gradLogps(Tensor.of(arena, DType.F64, gradLogps, 2 * PAIRS))
                .gradTokenLogps(gradTokens)
                .run(Backend.reference());
        Tensor lse = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
        TokenLogprobs.of(batch.logits, batch.labels).lse(lse).run(Backend.reference());
        Tensor gradient = Tensor.zeros(arena, DType.F32, batch.logits.shape());
        TokenLogprobsBackward.of(batch.logits, batch.labels, lse)
                .gradLogp(gradTokens)
                .gradLogits(gradient)
                .run(Backend.reference());
        return gradient.toDoubles();
    }

    private static double[] chosen(double[] values) {
        return Arrays.copyOf(values, PAIRS);
    }

    private static double[] rejected(double[] values) {
        return Arrays.copyOfRange(values, PAIRS, 2 * PAIRS);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void severalLossesAddUp(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            List<WeightedLoss> terms =
                    List.of(
                            new WeightedLoss(new Sft(), .25),
                            new WeightedLoss(new KtoPair(), 1),
                            new WeightedLoss(new SimPo(), -.5),
                            new WeightedLoss(new Dlrml(), 0),
                            new WeightedLoss(new Sigmoid(), 3));
            StepRun together = StepRun.of(backend, batch, terms, s -> s.sequenceOptions(TAIL));
            double[] losses = new double[PAIRS];
            double[] gradient = new double[together.gradient().length];
            for (WeightedLoss term : terms) {
                StepRun alone =
                        StepRun.of(backend, batch, one(term.loss()), s -> s.sequenceOptions(TAIL));
                Arrays.setAll(losses, i -> losses[i] + term.weight() * alone.losses()[i]);
                Arrays.setAll(gradient, i -> gradient[i] + term.weight() * alone.gradient()[i]);
            }
            Expect.asPromised("losses", DType.F32, losses, together.losses());
            Expect.asPromised("gradient", DType.F32, gradient, together.gradient());
            StepMetrics kto =
                    StepRun.of(backend, batch, one(new KtoPair()), s -> s.sequenceOptions(TAIL))
                            .metrics();
            assertEquals(
                    kto.rewardsMargin(),
                    together.metrics().rewardsMargin(),
                    "the rewards are those of the first paired loss");
            assertEquals(
                    Arrays.stream(losses).average().orElseThrow(), together.metrics().loss(), 1e-5);
        }
    }

    /**
     * Means of log-probs in place of sums scale its margin, while its negative log-likelihood stays
     * that of a token.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void cpoOfMeans(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            SequenceOptions means = SequenceOptions.DEFAULT.withReduction(Reduction.MEAN);
            double sum = 0;
            double tokens = 0;
            StepRun step =
                    StepRun.of(backend, batch, one(new Cpo()), s -> s.sequenceOptions(means));
            for (int i = 0; i < PAIRS; i++) {
                sum += step.logps()[i] * step.counts()[i];
                tokens += step.counts()[i];
            }
            StepRun token =
                    StepRun.of(
                            backend,
                            batch,
                            one(new Cpo(.1, 1, 0, Nll.TOKEN)),
                            s -> s.sequenceOptions(means));
            for (int i = 0; i < PAIRS; i++) {
                double preference =
                        Math.log1p(Math.exp(-.1 * (step.logps()[i] - step.logps()[i + PAIRS])));
                assertEquals(preference - step.logps()[i], step.losses()[i], 1e-5);
                assertEquals(preference - sum / tokens, token.losses()[i], 1e-5);
            }
        }
    }

    /** The reference's gradient is the slope of its loss, of every loss and of several. */
    @Test
    void theReferencesGradientIsTheSlope() {
        Stream<List<WeightedLoss>> several =
                Stream.of(
                        List.of(
                                new WeightedLoss(new Sft(), .5),
                                new WeightedLoss(new Sigmoid(), 2)),
                        List.of(
                                new WeightedLoss(new Cpo(.1, 1, 0, Nll.TOKEN), 1),
                                new WeightedLoss(new Ipo(), .1)));
        Stream<List<WeightedLoss>> single =
                TestLosses.withDefaults(Loss.Paired.class).map(StepRun::one);
        Stream.concat(several, single)
                .forEach(
                        losses -> {
                            double[] logits = new Random(3).doubles(4 * 3 * 3, -2, 2).toArray();
                            double[] slopes =
                                    FiniteDifference.gradient(
                                            at -> referenceStep(losses, at, null), logits, 1e-3);
                            double[] gradient = new double[logits.length];
                            referenceStep(losses, logits, gradient);
                            Expect.near("gradient of " + losses, slopes, gradient, 1e-7, 1e-8);
                        });
    }

    private static double referenceStep(
            List<WeightedLoss> losses, double[] values, double[] gradient) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = Tensor.of(arena, DType.F64, values, 4, 3, 3);
            Tensor labels =
                    Tensor.of(
                            arena,
                            new long[] {0, 2, IGNORE, 1, 2, 0, 1, 1, 2, 0, IGNORE, IGNORE},
                            4,
                            3);
            Tensor out = Tensor.zeros(arena, DType.F64, 4, 3, 3);
            double loss =
                    PreferenceStep.of(losses, logits, labels)
                            .referenceFree()
                            .sequenceOptions(TAIL)
                            .gradLogits(out)
                            .run(Backend.reference())
                            .loss();
            if (gradient != null) {
                System.arraycopy(out.toDoubles(), 0, gradient, 0, gradient.length);
            }
            return loss;
        }
    }

    /** With nothing to count every loss has a value, and no gradient. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void nothingCounts(Backend backend, Loss.Paired loss) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = Tensor.zeros(arena, DType.F32, 4, 2, 7).fill(Double.NaN);
            Tensor labels = Tensor.zeros(arena, DType.I64, 4, 2).fill(IGNORE);
            List<WeightedLoss> losses =
                    List.of(new WeightedLoss(loss, 1), new WeightedLoss(new Sft(), 1));
            StepMetrics metrics =
                    PreferenceStep.of(losses, logits, labels)
                            .referenceFree()
                            .wpo(!loss.ofRanks())
                            .inPlace()
                            .run(backend);
            assertTrue(Double.isFinite(metrics.loss()), metrics.toString());
            assertEquals(0, metrics.nonfinite());
            assertArrayEquals(new double[4 * 2 * 7], logits.toDoubles());
        }
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void noPairs(Backend backend, Loss.Paired loss) {
        try (Arena arena = Arena.ofConfined()) {
            List<WeightedLoss> losses =
                    List.of(new WeightedLoss(loss, 1), new WeightedLoss(new Sft(), 1));
            StepMetrics metrics =
                    PreferenceStep.of(
                                    losses,
                                    Tensor.zeros(arena, DType.F32, 0, 3, 5),
                                    Tensor.zeros(arena, DType.I64, 0, 3))
                            .referenceFree()
                            .inPlace()
                            .run(backend);
            assertEquals(new StepMetrics(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), metrics);
        }
    }
}
