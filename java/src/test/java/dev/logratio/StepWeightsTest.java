package dev.logratio;

import static dev.logratio.StepRun.PAIRS;
import static dev.logratio.StepRun.TAIL;
import static dev.logratio.StepRun.TOKENS;
import static dev.logratio.StepRun.VOCABULARY;
import static dev.logratio.StepRun.one;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.StepRun.Batch;
import dev.logratio.loss.AlwaysNormalise;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Ipo;
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Normalise;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.Sft;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.SigmoidNorm;
import dev.logratio.loss.SimPo;
import dev.logratio.loss.WeightedLoss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/** What weighs pairs and scales gradients in a preference step, and its rewards. */
class StepWeightsTest {
    private static final double[] WEIGHTS = {2, .5, 0};

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    private static double[] scaledByPair(double[] values, double[] weights) {
        int each = values.length / weights.length;
        double[] scaled = new double[values.length];
        Arrays.setAll(scaled, i -> values[i] * weights[i / each]);
        return scaled;
    }

    /** A pair's weight multiplies its losses and its gradient, and nothing of another pair. */
    @ParameterizedTest
    @MethodSource("backends")
    void pairWeightsMultiply(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            Tensor weights = Tensor.of(arena, DType.BF16, WEIGHTS, PAIRS);
            double[] twice = {2, .5, 0, 2, .5, 0};
            for (Loss.Paired loss : List.of(new Dlrml(), new Cpo(), new Orpo(), new Sigmoid())) {
                StepRun plain = StepRun.of(backend, batch, one(loss), s -> s.sequenceOptions(TAIL));
                StepRun weighted =
                        StepRun.of(
                                backend,
                                batch,
                                one(loss),
                                s -> s.sequenceOptions(TAIL).pairWeights(weights));
                Expect.asPromised(
                        "losses of " + loss,
                        DType.F32,
                        scaledByPair(plain.losses(), WEIGHTS),
                        weighted.losses());
                Expect.asPromised(
                        "gradient of " + loss,
                        DType.F32,
                        scaledByPair(plain.gradient(), twice),
                        weighted.gradient());
                assertEquals(plain.metrics().rewardsMargin(), weighted.metrics().rewardsMargin());
                assertEquals(
                        Arrays.stream(weighted.losses()).sum() / PAIRS,
                        weighted.metrics().loss(),
                        1e-6);
            }
            // Both values of a pair; its gradient is more than its own by the batch's means.
            StepRun plain = StepRun.of(backend, batch, one(new KtoPair(.1, true)), s -> s);
            StepRun weighted =
                    StepRun.of(
                            backend,
                            batch,
                            one(new KtoPair(.1, true)),
                            s -> s.pairWeights(weights));
            Expect.asPromised(
                    "losses of kto_pair",
                    DType.F32,
                    scaledByPair(plain.losses(), WEIGHTS),
                    weighted.losses());
            Expect.asPromised(
                    "gradient of kto_pair",
                    DType.F32,
                    scaledByPair(plain.gradient(), twice),
                    weighted.gradient());
        }
    }

    /** Weights of 1 are none, to the bit. */
    @ParameterizedTest
    @MethodSource("backends")
    void onesChangeNothing(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            Tensor ones = Tensor.zeros(arena, DType.F32, PAIRS).fill(1);
            Tensor one = Tensor.zeros(arena, DType.F64, 1).fill(1);
            List<WeightedLoss> terms =
                    List.of(
                            new WeightedLoss(new Dlrml(), 2),
                            new WeightedLoss(new Sft(), .3),
                            new WeightedLoss(new Orpo(), -.5));
            StepRun plain = StepRun.of(backend, batch, terms, s -> s.wpo(true));
            StepRun same =
                    StepRun.of(
                            backend,
                            batch,
                            terms,
                            s -> s.wpo(Wpo.ON).pairWeights(ones).gradLoss(one));
            assertArrayEquals(plain.losses(), same.losses());
            assertArrayEquals(plain.gradient(), same.gradient());
            assertEquals(plain.metrics(), same.metrics());
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void gradLossScalesTheGradientAlone(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            Tensor upstream = Tensor.of(arena, DType.F32, new double[] {-.25}, 1);
            List<WeightedLoss> terms =
                    List.of(new WeightedLoss(new KtoPair(), 2), new WeightedLoss(new Sft(), .3));
            StepRun plain = StepRun.of(backend, batch, terms, s -> s);
            StepRun scaled = StepRun.of(backend, batch, terms, s -> s.gradLoss(upstream));
            assertArrayEquals(plain.losses(), scaled.losses());
            assertEquals(plain.metrics().loss(), scaled.metrics().loss());
            double[] expected = Arrays.stream(plain.gradient()).map(x -> -.25 * x).toArray();
            Expect.asPromised("gradient", DType.F32, expected, scaled.gradient());
            Expect.near(
                    "grad_norm",
                    new double[] {.25 * plain.metrics().gradNorm()},
                    new double[] {scaled.metrics().gradNorm()},
                    1e-6,
                    0);
            Tensor nothing = Tensor.zeros(arena, DType.F32, 1);
            StepRun none = StepRun.of(backend, batch, terms, s -> s.gradLoss(nothing));
            assertTrue(Arrays.stream(none.gradient()).allMatch(x -> x == 0));
            assertEquals(0, none.metrics().gradNorm());
        }
    }

    /** With labels that the policy is surer of than a sample, weights above 1 become 1. */
    @ParameterizedTest
    @MethodSource("backends")
    void cappedWeights(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            for (int t = 0; t < TOKENS; t++) {
                for (int b : new int[] {0, PAIRS}) {
                    if (batch.counts(b, t)) {
                        batch.logits.setDouble(9, b, t, batch.labels.getLong(b, t));
                        batch.logits.setDouble(8, b, t, (batch.labels.getLong(b, t) + 1) % 41);
                    }
                }
            }
            StepRun plain = StepRun.of(backend, batch, one(new Dlrml()), s -> s);
            StepRun on = StepRun.of(backend, batch, one(new Dlrml()), s -> s.wpo(Wpo.ON));
            StepRun capped = StepRun.of(backend, batch, one(new Dlrml()), s -> s.wpo(Wpo.CAPPED));
            assertTrue(on.losses()[0] > 1.2 * plain.losses()[0]);
            assertEquals(plain.losses()[0], capped.losses()[0]);
            int row = TOKENS * VOCABULARY;
            assertArrayEquals(
                    Arrays.copyOf(plain.gradient(), row), Arrays.copyOf(capped.gradient(), row));
            for (int i = 1; i < PAIRS; i++) {
                assertTrue(on.losses()[i] < plain.losses()[i]);
                assertEquals(on.losses()[i], capped.losses()[i]);
            }
        }
    }

    /** A reference gives rewards whatever the losses are. */
    @ParameterizedTest
    @MethodSource("backends")
    void rewards(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            WeightedLoss sft = new WeightedLoss(new Sft(), 1);
            WeightedLoss simPo = new WeightedLoss(new SimPo(), 1);
            WeightedLoss dlrml = new WeightedLoss(new Dlrml(), 1);
            record Expected(List<WeightedLoss> losses, boolean referenced, double beta) {}
            for (Expected one :
                    List.of(
                            new Expected(List.of(sft), true, .1),
                            new Expected(List.of(sft), false, 0),
                            new Expected(List.of(sft, simPo, dlrml), true, 2),
                            new Expected(List.of(simPo), false, 2),
                            new Expected(List.of(dlrml, simPo), true, .05))) {
                Tensor chosen = Tensor.zeros(arena, DType.F64, PAIRS);
                Tensor rejected = Tensor.zeros(arena, DType.F32, PAIRS);
                StepRun step =
                        StepRun.of(
                                backend,
                                batch,
                                one.losses,
                                s -> {
                                    s.chosenRewards(chosen).rejectedRewards(rejected);
                                    return one.referenced ? s.referenceLogps(batch.reference) : s;
                                });
                double[] expected = new double[2 * PAIRS];
                Arrays.setAll(
                        expected,
                        b ->
                                one.beta
                                        * (step.logps()[b]
                                                - (one.referenced
                                                        ? batch.reference.getDouble(b)
                                                        : 0)));
                Expect.near(
                        "chosen rewards of " + one,
                        Arrays.copyOf(expected, PAIRS),
                        chosen.toDoubles(),
                        1e-12,
                        0);
                Expect.near(
                        "rejected rewards of " + one,
                        Arrays.copyOfRange(expected, PAIRS, 2 * PAIRS),
                        rejected.toDoubles(),
                        1e-6,
                        0);
                assertEquals(
                        Arrays.stream(expected).limit(PAIRS).average().orElseThrow(),
                        step.metrics().rewardsChosen(),
                        1e-12);
                long right =
                        Stream.of(0, 1, 2).filter(i -> expected[i] > expected[i + PAIRS]).count();
                assertEquals((double) right / PAIRS, step.metrics().rewardsAccuracy(), 1e-12);
            }
        }
    }

    /** The scores are divided by the counts before the tail weight. */
    @ParameterizedTest
    @MethodSource("backends")
    void fullLengths(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            double[] full = new double[2 * PAIRS];
            for (int b = 0; b < 2 * PAIRS; b++) {
                for (int t = 0; t < TOKENS; t++) {
                    full[b] += batch.counts(b, t) ? batch.mask.getDouble(b, t) : 0;
                }
            }
            FDivergence score = new FDivergence.ForwardKl();
            Ipo ipo = new Ipo(.1, Normalise.FULL, score);
            SigmoidNorm norm = new SigmoidNorm(.3, AlwaysNormalise.FULL, score);
            List<WeightedLoss> terms =
                    List.of(
                            new WeightedLoss(ipo, 1),
                            new WeightedLoss(new Ipo(.1, Normalise.ON, score), 2),
                            new WeightedLoss(norm, 3),
                            new WeightedLoss(new Sigmoid(), 4));
            for (SequenceOptions options : List.of(TAIL, TAIL.withTailWeight(1))) {
                StepRun step = StepRun.of(backend, batch, terms, s -> s.sequenceOptions(options));
                double[] losses = new double[PAIRS];
                for (WeightedLoss term : terms) {
                    double[] lengths = term.loss().dividesByFullLength() ? full : step.counts();
                    PairRun run = pairs(term, batch, step.logps(), lengths);
                    Arrays.setAll(losses, i -> losses[i] + term.weight() * run.losses()[i]);
                }
                Expect.asPromised("losses", DType.F32, losses, step.losses());
            }
            StepRun on =
                    StepRun.of(
                            backend,
                            batch,
                            one(new Ipo(.1, Normalise.ON, score)),
                            s -> s.sequenceOptions(TAIL));
            StepRun fullRun = StepRun.of(backend, batch, one(ipo), s -> s.sequenceOptions(TAIL));
            assertTrue(Math.abs(on.losses()[1] / fullRun.losses()[1] - 1) > 1e-3);
            assertArrayEquals(on.counts(), fullRun.counts());
        }
    }

    private static PairRun pairs(WeightedLoss term, Batch batch, double[] logps, double[] lengths) {
        return PairRun.of(
                Backend.reference(),
                (Loss.Paired) term.loss(),
                PairRun.Batch.of(
                                Arrays.copyOf(logps, PAIRS),
                                Arrays.copyOfRange(logps, PAIRS, 2 * PAIRS),
                                Arrays.copyOf(batch.reference.toDoubles(), PAIRS),
                                Arrays.copyOfRange(batch.reference.toDoubles(), PAIRS, 2 * PAIRS))
                        .withCounts(
                                Arrays.copyOf(lengths, PAIRS),
                                Arrays.copyOfRange(lengths, PAIRS, 2 * PAIRS)));
    }
}
