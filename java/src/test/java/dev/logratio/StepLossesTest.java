package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.SequenceOptions.Align;
import dev.logratio.SequenceOptions.Reduction;
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
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** A preference step with every loss, with several of them, with sft and with WPO's weights. */
class StepLossesTest {
    private static final int PAIRS = 3;
    private static final int TOKENS = 6;
    private static final int VOCABULARY = 41;
    private static final long IGNORE = -100;
    private static final SequenceOptions TAIL =
            new SequenceOptions(Reduction.SUM, .5, Align.COMPLETION, 1);

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    static Stream<Arguments> losses() {
        return backends()
                .flatMap(
                        backend ->
                                TestLosses.all().stream().map(loss -> Arguments.of(backend, loss)));
    }

    /**
     * Logits, labels with some ignored, weights with a row of none but one token, and a reference
     * near the policy.
     */
    private static final class Data {
        final Tensor logits;
        final Tensor labels;
        final Tensor mask;
        final Tensor reference;

        Data(Arena arena, DType dtype) {
            Random random = new Random(5);
            double[] values = random.doubles(2L * PAIRS * TOKENS * VOCABULARY, -2, 2).toArray();
            logits = Tensor.of(arena, dtype, values, 2 * PAIRS, TOKENS, VOCABULARY);
            labels =
                    Tensor.of(
                            arena,
                            random.longs(2L * PAIRS * TOKENS, 0, VOCABULARY).toArray(),
                            2 * PAIRS,
                            TOKENS);
            mask = Tensor.zeros(arena, DType.F32, 2 * PAIRS, TOKENS).fill(1);
            reference = Tensor.zeros(arena, DType.F64, 2 * PAIRS);
            for (int b = 0; b < 2 * PAIRS; b++) {
                labels.setLong(IGNORE, b, b % TOKENS);
                mask.setDouble(0, b, (b + 2) % TOKENS);
                mask.setDouble(1.5, b, (b + 3) % TOKENS);
                for (int t = 2; b == 4 && t < TOKENS; t++) {
                    mask.setDouble(0, b, t);
                }
                reference.setDouble((b == 4 ? -7 : -17) + random.nextGaussian(), b);
            }
        }

        boolean counts(int b, int t) {
            return labels.getLong(b, t) != IGNORE && mask.getDouble(b, t) > 0;
        }
    }

    /** What a step gave. */
    private record Outcome(
            StepMetrics metrics,
            double[] losses,
            double[] logps,
            double[] counts,
            double[] gradient) {
        static Outcome of(
                Backend backend,
                Data data,
                List<WeightedLoss> losses,
                UnaryOperator<PreferenceStep> options) {
            try (Arena arena = Arena.ofConfined()) {
                Tensor values = Tensor.zeros(arena, DType.F64, PAIRS);
                Tensor logps = Tensor.zeros(arena, DType.F64, 2 * PAIRS);
                Tensor counts = Tensor.zeros(arena, DType.F64, 2 * PAIRS);
                Tensor gradient = Tensor.zeros(arena, data.logits.dtype(), data.logits.shape());
                PreferenceStep step =
                        PreferenceStep.of(losses, data.logits, data.labels)
                                .mask(data.mask)
                                .losses(values)
                                .logps(logps)
                                .counts(counts)
                                .gradLogits(gradient);
                boolean free =
                        losses.stream()
                                .noneMatch(
                                        l ->
                                                l.loss() instanceof Loss.OfMargin
                                                        || l.loss() instanceof Loss.OfLogRatios);
                StepMetrics metrics =
                        options.apply(free ? step : step.referenceLogps(data.reference))
                                .run(backend);
                return new Outcome(
                        metrics,
                        values.toDoubles(),
                        logps.toDoubles(),
                        counts.toDoubles(),
                        gradient.toDoubles());
            }
        }
    }

    private static List<WeightedLoss> one(Loss.OfStep loss) {
        return List.of(new WeightedLoss(loss, 1));
    }

    /** The step equals the operations it is made of, run on the reference. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void equalsTheChain(Backend backend, Loss.Paired loss) {
        try (Arena arena = Arena.ofConfined()) {
            Data data = new Data(arena, DType.F32);
            Outcome step = Outcome.of(backend, data, one(loss), s -> s.sequenceOptions(TAIL));
            double[][] logps = {
                chosen(step.logps),
                rejected(step.logps),
                chosen(data.reference.toDoubles()),
                rejected(data.reference.toDoubles())
            };
            PairRun pairs =
                    PairRun.of(
                            Backend.reference(),
                            loss,
                            PairRun.Batch.of(logps)
                                    .withCounts(chosen(step.counts), rejected(step.counts)));
            double[] losses = new double[PAIRS];
            for (int k = 0; k < pairs.losses().length; k++) {
                losses[k % PAIRS] += pairs.losses()[k] / loss.lossesPerPair();
            }
            Expect.asPromised("losses", DType.F32, losses, step.losses);
            assertEquals(
                    Arrays.stream(losses).average().orElseThrow(),
                    step.metrics.loss(),
                    2e-5 * Math.abs(step.metrics.loss()));
            assertEquals(
                    Arrays.stream(pairs.rewards()[0]).average().orElseThrow(),
                    step.metrics.rewardsChosen(),
                    1e-5);
            assertEquals(
                    Arrays.stream(pairs.rewards()[1]).average().orElseThrow(),
                    step.metrics.rewardsRejected(),
                    1e-5);
            double[] gradLogps =
                    IntStream.range(0, 2 * PAIRS)
                            .mapToDouble(b -> pairs.gradient()[b / PAIRS][b % PAIRS])
                            .toArray();
            Expect.asPromised(
                    "gradient", DType.F32, gradient(arena, data, gradLogps), step.gradient);
        }
    }

    private static double[] gradient(Arena arena, Data data, double[] gradLogps) {
        Tensor counted = Tensor.zeros(arena, DType.F32, data.mask.shape()).copyFrom(data.mask);
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
        TokenLogprobs.of(data.logits, data.labels).lse(lse).run(Backend.reference());
        Tensor gradient = Tensor.zeros(arena, DType.F32, data.logits.shape());
        TokenLogprobsBackward.of(data.logits, data.labels, lse)
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
            Data data = new Data(arena, DType.F32);
            List<WeightedLoss> terms =
                    List.of(
                            new WeightedLoss(new Sft(), .25),
                            new WeightedLoss(new KtoPair(), 1),
                            new WeightedLoss(new SimPo(), -.5),
                            new WeightedLoss(new Dlrml(), 0),
                            new WeightedLoss(new Sigmoid(), 3));
            Outcome together = Outcome.of(backend, data, terms, s -> s.sequenceOptions(TAIL));
            double[] losses = new double[PAIRS];
            double[] gradient = new double[together.gradient.length];
            for (WeightedLoss term : terms) {
                Outcome alone =
                        Outcome.of(backend, data, one(term.loss()), s -> s.sequenceOptions(TAIL));
                Arrays.setAll(losses, i -> losses[i] + term.weight() * alone.losses[i]);
                Arrays.setAll(gradient, i -> gradient[i] + term.weight() * alone.gradient[i]);
            }
            Expect.asPromised("losses", DType.F32, losses, together.losses);
            Expect.asPromised("gradient", DType.F32, gradient, together.gradient);
            StepMetrics kto =
                    Outcome.of(backend, data, one(new KtoPair()), s -> s.sequenceOptions(TAIL))
                            .metrics;
            assertEquals(
                    kto.rewardsMargin(),
                    together.metrics.rewardsMargin(),
                    "the rewards are those of the first paired loss");
            assertEquals(
                    Arrays.stream(losses).average().orElseThrow(), together.metrics.loss(), 1e-5);
        }
    }

    /**
     * Every token that counts counts once: neither weights of the mask nor the tail's bear on it.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void sft(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Data data = new Data(arena, DType.F32);
            Tensor logp = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            Tensor lse = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            TokenLogprobs.of(data.logits, data.labels).logp(logp).lse(lse).run(Backend.reference());
            double sum = 0;
            int tokens = 0;
            Tensor upstream = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            for (int b = 0; b < PAIRS; b++) {
                for (int t = 0; t < TOKENS; t++) {
                    if (data.counts(b, t)) {
                        sum -= logp.getDouble(b, t);
                        tokens++;
                        upstream.setDouble(1, b, t);
                    }
                }
            }
            double expected = sum / tokens;
            for (SequenceOptions options :
                    List.of(SequenceOptions.DEFAULT, TAIL, TAIL.withTailWeight(0))) {
                Outcome step =
                        Outcome.of(backend, data, one(new Sft()), s -> s.sequenceOptions(options));
                Expect.near(
                        "losses",
                        new double[] {expected, expected, expected},
                        step.losses,
                        1e-6,
                        0);
                Tensor gradient = Tensor.zeros(arena, DType.F32, data.logits.shape());
                for (int b = 0; b < 2 * PAIRS; b++) {
                    for (int t = 0; t < TOKENS; t++) {
                        upstream.setDouble(upstream.getDouble(b, t) == 0 ? 0 : -1.0 / tokens, b, t);
                    }
                }
                TokenLogprobsBackward.of(data.logits, data.labels, lse)
                        .gradLogp(upstream)
                        .gradLogits(gradient)
                        .run(Backend.reference());
                Expect.asPromised("gradient", DType.F32, gradient.toDoubles(), step.gradient);
                StepMetrics metrics = step.metrics;
                assertArrayEquals(
                        new double[4],
                        new double[] {
                            metrics.rewardsChosen(),
                            metrics.rewardsRejected(),
                            metrics.rewardsMargin(),
                            metrics.rewardsAccuracy()
                        },
                        "sft has no rewards");
            }
        }
    }

    /** A pair's weight multiplies its losses, and sft's not; it has no gradient of its own. */
    @ParameterizedTest
    @MethodSource("backends")
    void wpo(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Data data = new Data(arena, DType.F32);
            Tensor logp = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            Tensor lse = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            Tensor lse2 = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
            TokenOptions options = TokenOptions.DEFAULT.withTemperature(.7);
            TokenLogprobs.of(data.logits, data.labels)
                    .tokenOptions(options)
                    .logp(logp)
                    .lse(lse)
                    .lse2(lse2)
                    .run(Backend.reference());
            double[] weights = new double[2 * PAIRS];
            for (int b = 0; b < 2 * PAIRS; b++) {
                double sum = 0;
                int tokens = 0;
                for (int t = 0; t < TOKENS; t++) {
                    if (data.counts(b, t)) {
                        sum +=
                                logp.getDouble(b, t)
                                        - (lse2.getDouble(b, t) - 2 * lse.getDouble(b, t));
                        tokens++;
                    }
                }
                weights[b] = Math.exp(sum / tokens);
            }
            UnaryOperator<PreferenceStep> without =
                    s -> s.tokenOptions(options).sequenceOptions(TAIL);
            UnaryOperator<PreferenceStep> with = s -> without.apply(s).wpo(true);
            for (Loss.Paired loss : List.of(new Dlrml(), new KtoPair(), new Cpo())) {
                Outcome plain = Outcome.of(backend, data, one(loss), without);
                Outcome weighted = Outcome.of(backend, data, one(loss), with);
                double[] losses =
                        IntStream.range(0, PAIRS)
                                .mapToDouble(i -> weights[i] * weights[i + PAIRS] * plain.losses[i])
                                .toArray();
                Expect.asPromised("losses of " + loss, DType.F32, losses, weighted.losses);
                assertEquals(plain.metrics.rewardsChosen(), weighted.metrics.rewardsChosen(), 0);
                if (!(loss instanceof KtoPair)) { // whose pairs share two means
                    int row = TOKENS * VOCABULARY;
                    double[] gradient = new double[2 * PAIRS * row];
                    Arrays.setAll(
                            gradient,
                            i ->
                                    weights[i / row % PAIRS]
                                            * weights[i / row % PAIRS + PAIRS]
                                            * plain.gradient[i]);
                    Expect.asPromised(
                            "gradient of " + loss, DType.F32, gradient, weighted.gradient);
                }
            }
            Outcome sft = Outcome.of(backend, data, one(new Sft()), without);
            Outcome weightedSft = Outcome.of(backend, data, one(new Sft()), with);
            assertArrayEquals(sft.losses, weightedSft.losses);
            assertArrayEquals(sft.gradient, weightedSft.gradient);
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
            Data data = new Data(arena, DType.F32);
            SequenceOptions means = SequenceOptions.DEFAULT.withReduction(Reduction.MEAN);
            double sum = 0;
            double tokens = 0;
            Outcome step = Outcome.of(backend, data, one(new Cpo()), s -> s.sequenceOptions(means));
            for (int i = 0; i < PAIRS; i++) {
                sum += step.logps[i] * step.counts[i];
                tokens += step.counts[i];
            }
            Outcome token =
                    Outcome.of(
                            backend,
                            data,
                            one(new Cpo(.1, 1, 0, Nll.TOKEN)),
                            s -> s.sequenceOptions(means));
            for (int i = 0; i < PAIRS; i++) {
                double preference =
                        Math.log1p(Math.exp(-.1 * (step.logps[i] - step.logps[i + PAIRS])));
                assertEquals(preference - step.logps[i], step.losses[i], 1e-5);
                assertEquals(preference - sum / tokens, token.losses[i], 1e-5);
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
                TestLosses.withDefaults(Loss.Paired.class).map(StepLossesTest::one);
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
