package dev.logratio;

import static dev.logratio.StepRun.PAIRS;
import static dev.logratio.StepRun.TAIL;
import static dev.logratio.StepRun.TOKENS;
import static dev.logratio.StepRun.VOCABULARY;
import static dev.logratio.StepRun.one;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.StepRun.Batch;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.Sft;
import dev.logratio.loss.WeightedLoss;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * Masks of a preference step: their types, labels beside them, and a mask of their own for NLLs.
 */
class StepMasksTest {
    private static final double[] WEIGHTS = {2, .5, 1.25};

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    @ParameterizedTest
    @MethodSource("backends")
    void integersThatAreNotZeroCountOne(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            boolean[] flags = new boolean[2 * PAIRS * TOKENS];
            long[] numbers = new long[flags.length];
            for (int i = 0; i < flags.length; i++) {
                flags[i] = i % 5 != 1;
                numbers[i] = flags[i] ? new long[] {1, -1, 1L << 31, 77}[i % 4] : 0;
            }
            Tensor logical = Tensor.of(arena, flags, 2 * PAIRS, TOKENS);
            Tensor longs = Tensor.of(arena, numbers, 2 * PAIRS, TOKENS);
            Tensor ints = Tensor.zeros(arena, DType.I32, 2 * PAIRS, TOKENS);
            for (int i = 0; i < flags.length; i++) {
                ints.setLong(flags[i] ? 3 - i % 7 * 2 : 0, i / TOKENS, i % TOKENS);
            }
            for (Tensor mask : List.of(longs, ints)) {
                for (SequenceOptions options : List.of(SequenceOptions.DEFAULT, TAIL)) {
                    StepRun expected =
                            run(backend, batch, new Sft(), options, s -> s.mask(logical));
                    StepRun actual = run(backend, batch, new Sft(), options, s -> s.mask(mask));
                    assertSame(expected, actual);
                    expected = run(backend, batch, new Orpo(), options, s -> s.nllMask(logical));
                    actual = run(backend, batch, new Orpo(), options, s -> s.nllMask(mask));
                    assertSame(expected, actual);
                }
                Tensor counts = Tensor.zeros(arena, DType.F64, 2 * PAIRS);
                Tensor expected = Tensor.zeros(arena, DType.F64, 2 * PAIRS);
                Tensor tokens = Tensor.zeros(arena, DType.F32, 2 * PAIRS, TOKENS);
                SequenceLogps.of(tokens, mask).counts(counts).run(backend);
                SequenceLogps.of(tokens, logical).counts(expected).run(backend);
                assertArrayEquals(expected.toDoubles(), counts.toDoubles());
            }
        }
    }

    private static StepRun run(
            Backend backend,
            Batch batch,
            Loss.OfStep loss,
            SequenceOptions options,
            UnaryOperator<PreferenceStep> more) {
        return StepRun.of(backend, batch, one(loss), s -> more.apply(s.sequenceOptions(options)));
    }

    private static void assertSame(StepRun expected, StepRun actual) {
        assertEquals(expected.metrics(), actual.metrics());
        assertArrayEquals(expected.losses(), actual.losses());
        assertArrayEquals(expected.logps(), actual.logps());
        assertArrayEquals(expected.counts(), actual.counts());
        assertArrayEquals(expected.gradient(), actual.gradient());
    }

    /** What stands where the mask is 0 is nobody's business. */
    @ParameterizedTest
    @MethodSource("backends")
    void labelsBesideTheMaskAreNotRead(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            Tensor covered = Tensor.zeros(arena, DType.U8, 2 * PAIRS, TOKENS);
            covered.setLong(1, 1, 3); // beside the mask
            Tensor poet = Tensor.zeros(arena, DType.F32, 1).fill(.5);
            List<List<WeightedLoss>> lists =
                    List.of(one(new Dlrml()), one(new Sft()), one(new Orpo()));
            for (List<WeightedLoss> losses : lists) {
                for (boolean ofNll : new boolean[] {false, true}) {
                    if (ofNll && losses.getFirst().loss() instanceof Dlrml) {
                        continue;
                    }
                    UnaryOperator<PreferenceStep> options =
                            s ->
                                    (ofNll ? s.nllMask(covered) : s)
                                            .sequenceOptions(TAIL.withTailWeight(0))
                                            .gradLoss(poet);
                    StepRun expected = StepRun.of(backend, batch, losses, options);
                    long[] wild = {VOCABULARY, -1, Long.MIN_VALUE, 1L << 40, 12345};
                    Batch spoilt = new Batch(arena, DType.F32);
                    int beside = 0;
                    for (int b = 0; b < 2 * PAIRS; b++) {
                        for (int t = 0; t < TOKENS; t++) {
                            if (spoilt.mask.getDouble(b, t) == 0
                                    && !(ofNll && covered.getLong(b, t) != 0)) {
                                spoilt.labels.setLong(wild[beside++ % wild.length], b, t);
                            }
                        }
                    }
                    StepRun actual = StepRun.of(backend, spoilt, losses, options);
                    assertSame(expected, actual);
                }
            }
        }
    }

    // ---- The mask of negative log-likelihoods ----

    /** The prompt, the whole answer or a part of it, with weights; NaN where nothing is read. */
    private static Tensor nllMask(Arena arena) {
        Tensor mask = Tensor.zeros(arena, DType.F32, 2 * PAIRS, TOKENS).fill(Double.NaN);
        for (int b = 0; b < PAIRS; b++) {
            for (int t = 0; t < TOKENS; t++) {
                mask.setDouble((b + t) % 3 == 0 ? 0 : b == 2 ? 1 : .5 + t, b, t);
            }
        }
        return mask;
    }

    private static double[][] chosenLogps(Arena arena, Batch batch) {
        Tensor logp = Tensor.zeros(arena, DType.F64, 2 * PAIRS, TOKENS);
        TokenLogprobs.of(batch.logits, batch.labels).logp(logp).run(Backend.reference());
        double[][] logps = new double[PAIRS][TOKENS];
        for (int b = 0; b < PAIRS; b++) {
            for (int t = 0; t < TOKENS; t++) {
                logps[b][t] = logp.getDouble(b, t);
            }
        }
        return logps;
    }

    /** Sums over the tokens that a mask covers and whose label is not ignored. */
    private static double sum(Batch batch, Tensor mask, int b, boolean weighted, double[] of) {
        double sum = 0;
        for (int t = 0; t < TOKENS; t++) {
            double weight = mask.getDouble(b, t);
            if (weight > 0 && batch.labels.getLong(b, t) != StepRun.IGNORE) {
                sum += (weighted ? weight : 1) * (of == null ? 1 : -of[t]);
            }
        }
        return sum;
    }

    /** The losses are those without a negative log-likelihood plus the mean as it is defined. */
    @ParameterizedTest
    @MethodSource("backends")
    void lossesWithAMaskOfTheirOwn(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            Tensor mask = nllMask(arena);
            Tensor weights = Tensor.of(arena, DType.F64, WEIGHTS, PAIRS);
            double[][] logps = chosenLogps(arena, batch);
            double[] sums = new double[PAIRS];
            double[] lengths = new double[PAIRS];
            double weighted = 0;
            double plain = 0;
            double tokens = 0;
            for (int b = 0; b < PAIRS; b++) {
                sums[b] = sum(batch, mask, b, true, logps[b]);
                lengths[b] = sum(batch, mask, b, true, null);
                weighted += WEIGHTS[b] * sums[b];
                plain += WEIGHTS[b] * sum(batch, mask, b, false, logps[b]);
                tokens += sum(batch, mask, b, false, null);
            }
            double length = Arrays.stream(lengths).sum();
            UnaryOperator<PreferenceStep> options =
                    s -> s.sequenceOptions(TAIL).pairWeights(weights);
            // Without the term: cpo with next to none.
            double[] rest =
                    StepRun.of(backend, batch, one(new Cpo(.1, 1e-300, .1, Nll.PAIR)), options)
                            .losses();
            double[] pair = new double[PAIRS];
            Arrays.setAll(pair, i -> rest[i] + WEIGHTS[i] * 3 * sums[i] / lengths[i]);
            expectLosses(backend, batch, new Cpo(.1, 3, .1, Nll.PAIR), options, mask, pair);
            double mean = 3 * weighted / length;
            double[] token = Arrays.stream(rest).map(x -> x + mean).toArray();
            expectLosses(backend, batch, new Cpo(.1, 3, .1, Nll.TOKEN), options, mask, token);
            double[] counted = Arrays.stream(rest).map(x -> x + mean * length / 100).toArray();
            expectLosses(
                    backend,
                    batch,
                    new Cpo(.1, 3, .1, Nll.TOKEN),
                    s -> options.apply(s).tokenCount(100),
                    mask,
                    counted);
            double[] sft = new double[PAIRS];
            Arrays.fill(sft, plain / tokens);
            expectLosses(backend, batch, new Sft(), options, mask, sft);
            Arrays.fill(sft, plain / 7.5);
            expectLosses(
                    backend, batch, new Sft(), s -> options.apply(s).tokenCount(7.5), mask, sft);
        }
    }

    private static void expectLosses(
            Backend backend,
            Batch batch,
            Loss.OfStep loss,
            UnaryOperator<PreferenceStep> options,
            Tensor mask,
            double[] losses) {
        StepRun step = StepRun.of(backend, batch, one(loss), s -> options.apply(s).nllMask(mask));
        Expect.asPromised("losses of " + loss, DType.F32, losses, step.losses());
        StepRun without = StepRun.of(backend, batch, one(loss), options);
        assertArrayEquals(without.logps(), step.logps(), "logps see the mask alone");
        assertArrayEquals(without.counts(), step.counts());
        StepMetrics expected = without.metrics();
        StepMetrics metrics = step.metrics();
        assertEquals(expected.entropy(), metrics.entropy());
        assertEquals(expected.tokenAccuracy(), metrics.tokenAccuracy());
        assertEquals(expected.logitsChosen(), metrics.logitsChosen());
        assertEquals(expected.logitsRejected(), metrics.logitsRejected());
        assertEquals(expected.rewardsMargin(), metrics.rewardsMargin());
    }

    /** The default is the mask. */
    @ParameterizedTest
    @MethodSource("backends")
    void theMaskItself(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            for (Loss.OfStep loss :
                    List.of(new Sft(), new Orpo(), new Orpo(.1, Nll.TOKEN), new Cpo())) {
                StepRun expected = StepRun.of(backend, batch, one(loss), s -> s);
                StepRun actual = StepRun.of(backend, batch, one(loss), s -> s.nllMask(batch.mask));
                Expect.asPromised("losses", DType.F32, expected.losses(), actual.losses());
                Expect.asPromised("gradient", DType.F32, expected.gradient(), actual.gradient());
            }
        }
    }

    /** No tail weight bears on sft, nor on what a mask of its own covers. */
    @ParameterizedTest
    @MethodSource("backends")
    void withoutTheMaskedRowsNothingIsRead(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            Tensor none = Tensor.zeros(arena, DType.BOOL, 2 * PAIRS, TOKENS);
            StepRun step =
                    StepRun.of(
                            backend,
                            batch,
                            one(new Sft()),
                            s -> s.nllMask(none).sequenceOptions(TAIL));
            assertArrayEquals(new double[PAIRS], step.losses());
            assertArrayEquals(new double[step.gradient().length], step.gradient());
            Tensor all = Tensor.zeros(arena, DType.BOOL, 2 * PAIRS, TOKENS).fill(1);
            StepRun covered =
                    StepRun.of(
                            backend,
                            batch,
                            one(new Sft()),
                            s -> s.mask(none).nllMask(all).tokenCount(3));
            double expected = 0;
            double[][] logps = chosenLogps(arena, batch);
            for (int b = 0; b < PAIRS; b++) {
                expected += sum(batch, all, b, false, logps[b]) / 3;
            }
            Expect.asPromised(
                    "losses",
                    DType.F32,
                    new double[] {expected, expected, expected},
                    covered.losses());
            assertEquals(0, covered.metrics().entropy());
            assertArrayEquals(new double[2 * PAIRS], covered.counts());
        }
    }

    // ---- Slopes ----

    private static final List<UnaryOperator<PreferenceStep>> SLOPES =
            List.of(s -> s, s -> s.tokenCount(40), s -> s.sequenceOptions(TAIL).tokenCount(40));

    private static List<WeightedLoss> nlls(Nll nll) {
        return List.of(
                new WeightedLoss(new Orpo(.4, nll), 1),
                new WeightedLoss(new Sft(), .7),
                new WeightedLoss(new Cpo(.3, 2, .1, nll), -.5));
    }

    /** The gradient of the reference, and each backend against it. */
    @Test
    void gradientsAreSlopes() {
        for (UnaryOperator<PreferenceStep> options : SLOPES) {
            for (boolean masked : new boolean[] {false, true}) {
                for (Nll nll : Nll.values()) {
                    expectSlopes(nll == Nll.TOKEN || masked ? options : s -> s, nlls(nll), masked);
                }
            }
        }
        // Means, which orpo and sft do not take.
        expectSlopes(
                s -> s.sequenceOptions(TAIL.withReduction(Reduction.MEAN)).tokenCount(40),
                List.of(new WeightedLoss(new Cpo(.3, 2, .1, Nll.TOKEN), 1)),
                false);
    }

    private static void expectSlopes(
            UnaryOperator<PreferenceStep> options, List<WeightedLoss> losses, boolean masked) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F64);
            Tensor weights = Tensor.of(arena, DType.F64, WEIGHTS, PAIRS);
            Tensor mask = nllMask(arena);
            UnaryOperator<PreferenceStep> all =
                    s -> {
                        options.apply(s).pairWeights(weights);
                        return masked ? s.nllMask(mask) : s;
                    };
            StepRun step = StepRun.of(Backend.reference(), batch, losses, all);
            int row = TOKENS * VOCABULARY;
            for (int at = 7; at < step.gradient().length; at += row / 5) {
                int b = at / row;
                int t = at % row / VOCABULARY;
                int v = at % VOCABULARY;
                double before = batch.logits.getDouble(b, t, v);
                double[] slope =
                        FiniteDifference.gradient(
                                x -> {
                                    batch.logits.setDouble(x[0], b, t, v);
                                    return StepRun.of(Backend.reference(), batch, losses, all)
                                            .metrics()
                                            .loss();
                                },
                                new double[] {before},
                                1e-3);
                batch.logits.setDouble(before, b, t, v);
                Expect.near(
                        "slope at " + at,
                        slope,
                        new double[] {step.gradient()[at]},
                        1e-7,
                        0,
                        1e-10);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void gradientsAreTheReferences(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            Tensor weights = Tensor.of(arena, DType.F64, WEIGHTS, PAIRS);
            Tensor upstream = Tensor.of(arena, DType.F64, new double[] {1.5}, 1);
            Tensor mask = nllMask(arena);
            for (UnaryOperator<PreferenceStep> options : SLOPES) {
                for (boolean masked : new boolean[] {false, true}) {
                    for (Nll nll : Nll.values()) {
                        UnaryOperator<PreferenceStep> all =
                                s -> {
                                    options.apply(s).pairWeights(weights).gradLoss(upstream);
                                    return masked ? s.nllMask(mask).wpo(true) : s;
                                };
                        StepRun expected = StepRun.of(Backend.reference(), batch, nlls(nll), all);
                        StepRun actual = StepRun.of(backend, batch, nlls(nll), all);
                        Expect.asPromised("losses", DType.F32, expected.losses(), actual.losses());
                        Expect.asPromised(
                                "gradient", DType.F32, expected.gradient(), actual.gradient());
                    }
                }
            }
        }
    }
}
