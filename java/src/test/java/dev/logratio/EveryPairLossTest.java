package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.PairRun.Batch;
import dev.logratio.loss.Aot;
import dev.logratio.loss.AotUnpaired;
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Orpo;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** What holds for every paired loss: gradients, extremes, batches of any size. */
class EveryPairLossTest {
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
     * Log-probs of a token, times a count for each; the policy within some nats of the reference.
     */
    private static Batch random(int pairs, long seed) {
        Random random = new Random(seed);
        double[][] logps = new double[4][pairs];
        double[][] counts = new double[2][pairs];
        for (int side = 0; side < 2; side++) {
            for (int i = 0; i < pairs; i++) {
                counts[side][i] = 1 + random.nextInt(5);
                logps[side][i] = counts[side][i] * (-.05 - 1.5 * random.nextDouble());
                logps[side + 2][i] = logps[side][i] + 1.3 * random.nextGaussian();
            }
        }
        return new Batch(logps, counts, random.doubles(2L * pairs, -1, 2).toArray());
    }

    /** Without the one that stops a gradient, by its definition. */
    static Stream<Arguments> lossesWithTheirWholeGradient() {
        return losses().filter(
                        arguments -> !(arguments.get()[1] instanceof KtoPair kto && kto.detach()));
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("lossesWithTheirWholeGradient")
    void gradientsAreTheSlopesOfTheLoss(Backend backend, Loss.Paired loss) {
        for (long seed : new long[] {3, 4}) {
            Batch batch = random(6, seed);
            int inputs = loss instanceof Loss.ReferenceFree ? 2 : 4;
            double[] at =
                    Stream.of(batch.logps())
                            .limit(inputs)
                            .flatMapToDouble(Arrays::stream)
                            .toArray();
            double[] slopes =
                    FiniteDifference.gradient(
                            x ->
                                    PairRun.objective(
                                            backend,
                                            loss,
                                            new Batch(
                                                    rows(x, 6), batch.counts(), batch.upstream())),
                            at,
                            1e-3);
            double[][] gradient = PairRun.of(backend, loss, batch).gradient();
            double[] flat =
                    Stream.of(gradient).limit(inputs).flatMapToDouble(Arrays::stream).toArray();
            Expect.near("gradient", slopes, flat, 1e-7, 1e-8, 1e-12);
            assertTrue(Arrays.stream(flat).anyMatch(g -> g != 0));
        }
    }

    private static double[][] rows(double[] flat, int length) {
        return IntStream.range(0, flat.length / length)
                .mapToObj(r -> Arrays.copyOfRange(flat, r * length, (r + 1) * length))
                .toArray(double[][]::new);
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void agreesWithTheReference(Backend backend, Loss.Paired loss) {
        for (int pairs : new int[] {2, 3, 7, 8, 41, 123, 507}) {
            Batch batch = random(pairs, pairs);
            PairRun expected = PairRun.of(Backend.reference(), loss, batch);
            PairRun actual = PairRun.of(backend, loss, batch);
            Expect.near(pairs + " losses", expected.losses(), actual.losses(), 1e-10, 1e-12);
            for (int k = 0; k < 4; k++) {
                Expect.near(
                        pairs + " gradients " + k,
                        expected.gradient()[k],
                        actual.gradient()[k],
                        1e-10,
                        1e-12);
            }
            for (int k = 0; k < 2; k++) {
                Expect.near(
                        pairs + " rewards " + k,
                        expected.rewards()[k],
                        actual.rewards()[k],
                        1e-12,
                        0);
            }
        }
    }

    /** A reference of its own is what is missing without one: zeros. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void referenceFreeIsAReferenceOfZeros(Backend backend, Loss.Paired loss) {
        Batch batch = random(5, 9);
        double[] zeros = new double[5];
        Batch withZeros =
                new Batch(
                        new double[][] {batch.logps()[0], batch.logps()[1], zeros, zeros},
                        batch.counts(),
                        batch.upstream());
        Batch without =
                new Batch(Arrays.copyOf(batch.logps(), 2), batch.counts(), batch.upstream());
        PairRun expected = PairRun.of(backend, loss, withZeros);
        PairRun actual = PairRun.of(backend, loss, without);
        assertArrayEquals(expected.losses(), actual.losses());
        assertArrayEquals(expected.gradient()[0], actual.gradient()[0]);
        assertArrayEquals(expected.rewards()[1], actual.rewards()[1]);
    }

    /**
     * Log-ratios to 5000 and log-probs to 0, each with each: never NaN, and backends agree on what
     * overflows.
     */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void extremesAreNeverNan(Backend backend, Loss.Paired loss) {
        double[] values =
                loss instanceof Loss.ReferenceFree
                        ? new double[] {-5000, -1775, -700, -38, -1, -1e-3, -1e-12, -1e-300}
                        : new double[] {-5000, -1775, -700, -38, -1, 0, 1, 38, 700, 1775, 5000};
        int n = values.length;
        double[][] logps = new double[4][n * n];
        for (int i = 0; i < n * n; i++) {
            logps[0][i] = values[i / n];
            logps[1][i] = values[i % n];
        }
        Batch batch = new Batch(logps, Batch.of(logps).counts(), null);
        PairRun actual = PairRun.of(backend, loss, batch);
        assertNoNan(actual.losses());
        Stream.of(actual.gradient()).forEach(EveryPairLossTest::assertNoNan);
        PairRun expected = PairRun.of(Backend.reference(), loss, batch);
        Expect.near("losses", expected.losses(), actual.losses(), 1e-9, 0, 1e-300);
        // A loss of the batch sums over it terms of all sizes: what cancels is rounded.
        double ofLargest = TestLosses.ofTheBatch(loss) ? 1e-12 : 0;
        Expect.near(
                "d chosen", expected.gradient()[0], actual.gradient()[0], 1e-9, ofLargest, 1e-300);
        Expect.near(
                "d rejected",
                expected.gradient()[1],
                actual.gradient()[1],
                1e-9,
                ofLargest,
                1e-300);
    }

    private static void assertNoNan(double[] values) {
        assertFalse(Arrays.stream(values).anyMatch(Double::isNaN), Arrays.toString(values));
    }

    /** Those whose pairs have nothing to do with each other. */
    static Stream<Arguments> lossesOfSinglePairs() {
        return losses().filter(
                        arguments -> !TestLosses.ofTheBatch((Loss.Paired) arguments.get()[1]));
    }

    /** An infinite log-ratio has the limit's value, a NaN stays within its pair. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("lossesOfSinglePairs")
    void infiniteLogRatiosAndNan(Backend backend, Loss.Paired loss) {
        double infinity = Double.POSITIVE_INFINITY;
        boolean free = loss instanceof Loss.ReferenceFree;
        double[] chosen = {-infinity, -1, free ? -2 : infinity, -1, Double.NaN, -2};
        double[] rejected = {-1, -infinity, -1, free ? -3 : infinity, -1, -1};
        PairRun run =
                PairRun.of(backend, loss, Batch.of(chosen, rejected, new double[6], new double[6]));
        assertNoNan(Arrays.copyOf(run.losses(), 4));
        assertNoNan(Arrays.copyOf(run.gradient()[0], 4));
        assertNoNan(Arrays.copyOf(run.gradient()[1], 4));
        assertTrue(Double.isNaN(run.losses()[4]));
        assertTrue(Double.isNaN(run.gradient()[0][4]));
        PairRun alone =
                PairRun.of(
                        backend,
                        loss,
                        Batch.of(
                                new double[] {-2},
                                new double[] {-1},
                                new double[1],
                                new double[1]));
        Expect.exact("the pair beside", alone.losses()[0], run.losses()[5]);
        Expect.exact("its gradient", alone.gradient()[0][0] / 6, run.gradient()[0][5]);
        PairRun reference =
                PairRun.of(
                        Backend.reference(),
                        loss,
                        Batch.of(chosen, rejected, new double[6], new double[6]));
        Expect.near("losses", reference.losses(), run.losses(), 1e-9, 0);
        Expect.near("d chosen", reference.gradient()[0], run.gradient()[0], 1e-9, 0);
        Expect.near("d rejected", reference.gradient()[1], run.gradient()[1], 1e-9, 0);
    }

    static Stream<Arguments> lossesOfTheBatch() {
        return losses().filter(
                        arguments -> TestLosses.ofTheBatch((Loss.Paired) arguments.get()[1]));
    }

    /**
     * What others make of an infinite log-prob or a NaN among them, by a mean, a variance or a
     * rank, is the same on every backend.
     */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("lossesOfTheBatch")
    void infiniteLogProbsAndNanInABatch(Backend backend, Loss.Paired loss) {
        for (double odd :
                new double[] {Double.NEGATIVE_INFINITY, Double.POSITIVE_INFINITY, Double.NaN}) {
            for (int column = 0; column < (loss instanceof Loss.ReferenceFree ? 2 : 4); column++) {
                if (loss instanceof Loss.ReferenceFree && odd > 0) {
                    continue;
                }
                Batch batch = random(5, 7);
                batch.logps()[column][3] = odd;
                for (double[] upstream :
                        new double[][] {
                            batch.upstream(), {1, 2, 3, Double.NaN, 5, 6, 7, 8, Double.NaN, 1}
                        }) {
                    PairRun expected =
                            PairRun.of(Backend.reference(), loss, batch.withUpstream(upstream));
                    PairRun actual = PairRun.of(backend, loss, batch.withUpstream(upstream));
                    String what = odd + " in column " + column + ", upstream " + upstream[3];
                    Expect.near(what + ": losses", expected.losses(), actual.losses(), 1e-9, 1e-12);
                    for (int k = 0; k < 4; k++) {
                        Expect.near(
                                what + ": gradients " + k,
                                expected.gradient()[k],
                                actual.gradient()[k],
                                1e-9,
                                1e-12);
                    }
                }
            }
        }
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void noPairs(Backend backend, Loss.Paired loss) {
        PairRun run =
                PairRun.of(
                        backend,
                        loss,
                        Batch.of(new double[0], new double[0], new double[0], new double[0]));
        assertEquals(0, run.losses().length);
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void onePair(Backend backend, Loss.Paired loss) {
        Batch batch =
                Batch.of(
                        new double[] {-1},
                        new double[] {-2.5},
                        new double[] {-2},
                        new double[] {-1});
        if (loss.smallestBatch() > 1) {
            IllegalArgumentException thrown =
                    assertThrows(
                            IllegalArgumentException.class, () -> PairRun.of(backend, loss, batch));
            assertEquals(
                    "policy_chosen is F64 [1], expected at least 2 pairs, or none, as loss "
                            + loss.id()
                            + " takes their variance",
                    thrown.getMessage());
        } else {
            assertTrue(Double.isFinite(PairRun.of(backend, loss, batch).losses()[0]));
        }
    }

    /**
     * Equal values, -0 and 0 among them, keep their order: the gradient of a rank goes to the pair
     * that came first.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void sortsAreStable(Backend backend) {
        double[] chosen = {1, 0, -0.0, 1};
        Batch batch =
                Batch.of(chosen, new double[4], new double[4], new double[4])
                        .withUpstream(1, 2, 4, 8);
        double[] ofZero = new double[] {-.05, -.05, -.05, -.05}; // slope at d = 0
        double slopeOfOne = -.1 / (1 + Math.exp(.1));
        PairRun aot = PairRun.of(backend, new Aot(), batch);
        Expect.exact(
                "losses",
                new double[] {
                    Math.log(2), Math.log(2), Math.log1p(Math.exp(-.1)), Math.log1p(Math.exp(-.1))
                },
                aot.losses());
        Expect.exact(
                "d chosen",
                new double[] {4 * slopeOfOne, ofZero[0], 2 * ofZero[1], 8 * slopeOfOne},
                aot.gradient()[0]);
        Expect.exact(
                "d reference",
                new double[] {-ofZero[0], -2 * ofZero[1], -4 * slopeOfOne, -8 * slopeOfOne},
                aot.gradient()[2]);
        PairRun unpaired = PairRun.of(backend, new AotUnpaired(), batch);
        Expect.exact(
                "d chosen",
                new double[] {4 * slopeOfOne, ofZero[0], 2 * ofZero[1], 8 * slopeOfOne},
                unpaired.gradient()[0]);
        Expect.exact(
                "d rejected",
                new double[] {-ofZero[0], -2 * ofZero[1], -4 * slopeOfOne, -8 * slopeOfOne},
                unpaired.gradient()[1]);
    }

    /**
     * At the start of training every log-ratio is 0: the means carry gradient there, as with a
     * trainer's clamp.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void ktoPairAtTheStart(Backend backend) {
        Batch batch = Batch.of(new double[3], new double[3], new double[3], new double[3]);
        PairRun live = PairRun.of(backend, new KtoPair(.1, false), batch);
        assertArrayEquals(new double[] {.5, .5, .5, .5, .5, .5}, live.losses());
        Expect.near(
                "d chosen",
                new double[] {-2 * .025 / 6, -2 * .025 / 6, -2 * .025 / 6},
                live.gradient()[0],
                1e-12,
                0);
        PairRun detached = PairRun.of(backend, new KtoPair(.1, true), batch);
        Expect.near(
                "d chosen",
                new double[] {-.025 / 6, -.025 / 6, -.025 / 6},
                detached.gradient()[0],
                1e-12,
                0);
    }

    /**
     * Counts below 1, of empty sequences, are taken as 1; equal odds are even odds, those of two
     * empty sequences too.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void emptySequences(Backend backend) {
        Batch empty =
                Batch.of(new double[2], new double[2], new double[2], new double[2])
                        .withCounts(new double[2], new double[2]);
        for (Loss.Paired loss : TestLosses.all()) {
            double[] losses = PairRun.of(backend, loss, empty).losses();
            double[] ofOnes =
                    PairRun.of(
                                    backend,
                                    loss,
                                    Batch.of(
                                            new double[2],
                                            new double[2],
                                            new double[2],
                                            new double[2]))
                            .losses();
            assertTrue(
                    Arrays.stream(losses).allMatch(Double::isFinite),
                    loss + ": " + Arrays.toString(losses));
            assertArrayEquals(ofOnes, losses, loss.toString());
        }
        PairRun orpo = PairRun.of(backend, new Orpo(.5, Nll.PAIR), empty);
        Expect.exact("orpo", new double[] {.5 * Math.log(2), .5 * Math.log(2)}, orpo.losses());
    }
}
