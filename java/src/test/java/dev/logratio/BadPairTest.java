package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.PairRun.Batch;
import dev.logratio.loss.Aot;
import dev.logratio.loss.AotUnpaired;
import dev.logratio.loss.Cell;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.Sft;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.WeightedLoss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/**
 * A pair whose rows hold what they must not, or whose label is impossible, harms no pair that has
 * nothing to do with it.
 */
class BadPairTest {
    private static final int TOKENS = 2;
    private static final int VOCABULARY = 9;
    private static final int MASKED = 5; // a column of -inf in every row

    /** What can be wrong with a row. */
    private enum Fault {
        NAN,
        INFINITE,
        NOTHING_POSSIBLE,
        IMPOSSIBLE_LABEL
    }

    /** A fault in the second row of a sequence. */
    private record Bad(int sequence, Fault fault) {}

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    private static Stream<Arguments> times(List<Loss.Paired> losses) {
        List<Arguments> cases = new ArrayList<>();
        for (Backend backend : backends().toList()) {
            for (Loss.Paired loss : losses) {
                cases.add(Arguments.of(backend, loss, false));
                if (!(loss instanceof Aot || loss instanceof AotUnpaired)) {
                    cases.add(Arguments.of(backend, loss, true));
                }
            }
        }
        return cases.stream();
    }

    static Stream<Arguments> lossesOfSinglePairs() {
        return times(
                TestLosses.all().stream().filter(loss -> !TestLosses.ofTheBatch(loss)).toList());
    }

    static Stream<Arguments> lossesOfTheBatch() {
        return times(TestLosses.all().stream().filter(TestLosses::ofTheBatch).toList());
    }

    /** The same logits for the same number of pairs, but for what is bad. */
    private record Step(double[] losses, double[][] gradient) {
        static Step of(
                Backend backend, Loss.OfStep loss, boolean wpo, int pairs, List<Bad> faults) {
            Random random = new Random(17);
            double[] values = random.doubles(2L * pairs * TOKENS * VOCABULARY, -2, 2).toArray();
            for (int row = 0; row < 2 * pairs * TOKENS; row++) {
                values[row * VOCABULARY + MASKED] = Double.NEGATIVE_INFINITY;
            }
            long[] labels = random.longs(2L * pairs * TOKENS, 0, MASKED).toArray();
            double[] reference = random.doubles(2L * pairs, -6, -4).toArray();
            for (Bad bad : faults) {
                int row = bad.sequence * TOKENS + 1;
                int start = row * VOCABULARY;
                switch (bad.fault) {
                    case NAN -> values[start + 3] = Double.NaN;
                    case INFINITE -> values[start + 8] = Double.POSITIVE_INFINITY;
                    case NOTHING_POSSIBLE ->
                            Arrays.fill(
                                    values, start, start + VOCABULARY, Double.NEGATIVE_INFINITY);
                    case IMPOSSIBLE_LABEL -> labels[row] = MASKED;
                }
            }
            return of(backend, loss, wpo, values, labels, reference);
        }

        static Step of(
                Backend backend,
                Loss.OfStep loss,
                boolean wpo,
                double[] values,
                long[] labels,
                double[] reference) {
            try (Arena arena = Arena.ofConfined()) {
                int sequences = reference.length;
                Tensor logits = Tensor.of(arena, DType.F32, values, sequences, TOKENS, VOCABULARY);
                Tensor losses = Tensor.zeros(arena, DType.F64, sequences / 2);
                Tensor gradient = Tensor.zeros(arena, DType.F32, logits.shape());
                Tensor labelled = Tensor.of(arena, labels, sequences, TOKENS);
                PreferenceStep step =
                        PreferenceStep.of(List.of(new WeightedLoss(loss, 1)), logits, labelled)
                                .wpo(wpo)
                                .losses(losses)
                                .gradLogits(gradient);
                if (!(loss instanceof Loss.ReferenceFree || loss instanceof Sft)) {
                    step.referenceLogps(Tensor.of(arena, DType.F64, reference, sequences));
                }
                step.run(backend);
                double[] flat = gradient.toDoubles();
                double[][] ofSequence = new double[sequences][];
                int size = TOKENS * VOCABULARY;
                Arrays.setAll(ofSequence, b -> Arrays.copyOfRange(flat, b * size, (b + 1) * size));
                return new Step(losses.toDoubles(), ofSequence);
            }
        }
    }

    /**
     * Every other pair is bad, each in its own way, by its chosen answer or by its rejected one.
     */
    private static final int PAIRS = 9;

    private static final List<Bad> EVERY_FAULT =
            List.of(
                    new Bad(0, Fault.NAN),
                    new Bad(PAIRS + 2, Fault.INFINITE),
                    new Bad(4, Fault.NOTHING_POSSIBLE),
                    new Bad(PAIRS + 6, Fault.IMPOSSIBLE_LABEL));

    private static boolean isGood(int pair) {
        return pair % 2 == 1 || pair == PAIRS - 1;
    }

    private static void assertSameBits(String what, double[] expected, double[] actual) {
        for (int k = 0; k < expected.length; k++) {
            assertEquals(
                    Double.doubleToRawLongBits(expected[k]),
                    Double.doubleToRawLongBits(actual[k]),
                    what + " " + k + ": " + actual[k]);
        }
    }

    private static void assertSameGradients(Step expected, Step actual) {
        for (int pair = 0; pair < PAIRS; pair++) {
            if (isGood(pair)) {
                for (int sequence : new int[] {pair, PAIRS + pair}) {
                    assertSameBits(
                            "gradient of sequence " + sequence,
                            expected.gradient[sequence],
                            actual.gradient[sequence]);
                }
            }
        }
    }

    @ParameterizedTest(name = "{0}: {1}, wpo {2}")
    @MethodSource("lossesOfSinglePairs")
    void harmsNoOtherPair(Backend backend, Loss.Paired loss, boolean wpo) {
        Step without = Step.of(backend, loss, wpo, PAIRS, List.of());
        Step with = Step.of(backend, loss, wpo, PAIRS, EVERY_FAULT);
        for (int pair = 0; pair < PAIRS; pair++) {
            if (isGood(pair)) {
                assertTrue(Double.isFinite(without.losses[pair]));
                assertEquals(without.losses[pair], with.losses[pair], "loss of pair " + pair);
            }
        }
        assertSameGradients(without, with);
        for (Bad bad : EVERY_FAULT) {
            int pair = bad.sequence % PAIRS;
            // An impossible label has the loss's limit; its weight of 0 in WPO leaves nothing.
            boolean isNan = Double.isNaN(with.losses[pair]);
            assertEquals(
                    bad.fault != Fault.IMPOSSIBLE_LABEL, isNan, bad + ": " + with.losses[pair]);
        }
        assertAgree(Step.of(Backend.reference(), loss, wpo, PAIRS, EVERY_FAULT), with);
    }

    private static double[] flat(double[][] rows) {
        return Arrays.stream(rows).flatMapToDouble(Arrays::stream).toArray();
    }

    private static void assertAgree(Step expected, Step actual) {
        Expect.asPromised("losses", DType.F32, expected.losses, actual.losses);
        Expect.asPromised("gradient", DType.F32, flat(expected.gradient), flat(actual.gradient));
    }

    /** Probability 0, gradient 0: in the rows of the pair whose loss is infinite, too. */
    @ParameterizedTest(name = "{0}: {1}, wpo {2}")
    @MethodSource("lossesOfSinglePairs")
    void impossibleColumnsHaveNoGradient(Backend backend, Loss.Paired loss, boolean wpo) {
        List<Bad> faults =
                List.of(new Bad(0, Fault.IMPOSSIBLE_LABEL), new Bad(3, Fault.IMPOSSIBLE_LABEL));
        Step step = Step.of(backend, loss, wpo, 2, faults);
        for (double[] gradient : step.gradient) {
            for (int k = 0; k < gradient.length; k++) {
                boolean isMasked = k % VOCABULARY == MASKED;
                assertTrue(
                        isMasked ? gradient[k] == 0 : !Double.isNaN(gradient[k]),
                        k + ": " + gradient[k]);
            }
        }
    }

    /** What a formula ties together may become NaN together: on every backend the same. */
    @ParameterizedTest(name = "{0}: {1}, wpo {2}")
    @MethodSource("lossesOfTheBatch")
    void backendsAgreeOnLossesOfTheBatch(Backend backend, Loss.Paired loss, boolean wpo) {
        for (Fault fault : List.of(Fault.NAN, Fault.IMPOSSIBLE_LABEL)) {
            for (int sequence : new int[] {1, 4}) {
                List<Bad> faults = List.of(new Bad(sequence, fault));
                Step expected = Step.of(Backend.reference(), loss, wpo, 3, faults);
                assertAgree(expected, Step.of(backend, loss, wpo, 3, faults));
            }
        }
    }

    /**
     * A mean over the batch's tokens is NaN with any of them; its gradient looks at no other token.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void meansOverTokensTieValuesAlone(Backend backend) {
        for (Loss.OfStep loss :
                List.of(new Sft(), new Cpo(.1, 1, 0, Nll.TOKEN), new Orpo(.1, Nll.TOKEN))) {
            Step without = Step.of(backend, loss, false, PAIRS, List.of());
            Step with = Step.of(backend, loss, false, PAIRS, EVERY_FAULT);
            assertTrue(Arrays.stream(with.losses).allMatch(Double::isNaN), loss.toString());
            assertSameGradients(without, with);
        }
    }

    /**
     * A token that is not impossible but nearly so: cell's exponential leaves the range of float32,
     * then that of float64.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void slopesBeyondFloat32(Backend backend) {
        for (double gap : new double[] {1900, 2500, 1e4, 2e4, 1e9}) {
            double[] values = new double[4 * TOKENS * VOCABULARY];
            for (int k = 0; k < values.length; k++) {
                values[k] =
                        switch (k % VOCABULARY) {
                            case 0, 6 -> -gap;
                            case 1 -> -60;
                            case 2 -> -200;
                            case MASKED -> Double.NEGATIVE_INFINITY;
                            default -> k % 5;
                        };
            }
            long[] labels = {0, 3, 4, 3, 7, 3, 8, 3};
            double[] reference = {-3, -3, -3, -3};
            Step expected =
                    Step.of(Backend.reference(), new Cell(), false, values, labels, reference);
            Step actual = Step.of(backend, new Cell(), false, values, labels, reference);
            assertTrue(
                    Arrays.stream(flat(expected.gradient)).noneMatch(Double::isNaN), "gap " + gap);
            assertAgree(expected, actual);
        }
    }

    /** A NaN upstream of one loss stays with its pair, as a NaN log-prob does. */
    @ParameterizedTest
    @MethodSource("backends")
    void nanUpstream(Backend backend) {
        double[][] logps = {{-1, -2, -4}, {-3, -1, -2}, {-2, -2, -2}, {-1, -2, -3}};
        for (Loss.Paired loss : TestLosses.all()) {
            if (!TestLosses.ofTheBatch(loss)) {
                PairRun plain = PairRun.of(backend, loss, Batch.of(logps).withUpstream(1, 2, 3));
                PairRun run =
                        PairRun.of(backend, loss, Batch.of(logps).withUpstream(1, Double.NaN, 3));
                assertSameBits("losses", plain.losses(), run.losses());
                for (int k = 0; k < (loss instanceof Loss.ReferenceFree ? 2 : 4); k++) {
                    for (int pair : new int[] {0, 2}) {
                        assertEquals(
                                plain.gradient()[k][pair],
                                run.gradient()[k][pair],
                                loss + ", gradient " + k);
                    }
                    assertTrue(Double.isNaN(run.gradient()[k][1]), loss + ", gradient " + k);
                }
            }
        }
    }

    /** A loss of weight 0 leaves nothing, not even of an infinite value. */
    @ParameterizedTest
    @MethodSource("backends")
    void weightZero(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            double[] values = {Double.NEGATIVE_INFINITY, 1, 2, 0, 1, 2};
            Tensor logits = Tensor.of(arena, DType.F32, values, 2, 1, 3);
            Tensor labels = Tensor.of(arena, new long[] {0, 0}, 2, 1);
            Tensor losses = Tensor.zeros(arena, DType.F64, 1);
            List<WeightedLoss> terms =
                    List.of(new WeightedLoss(new Sigmoid(), 0), new WeightedLoss(new Sft(), 0));
            PreferenceStep.of(terms, logits, labels)
                    .referenceLogps(Tensor.zeros(arena, DType.F64, 2))
                    .losses(losses)
                    .run(backend);
            assertEquals(0, losses.getDouble(0));
        }
    }
}
