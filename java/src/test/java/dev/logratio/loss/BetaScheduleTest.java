package dev.logratio.loss;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.Arrays;
import java.util.Random;

/** The schedule of beta-DPO. */
class BetaScheduleTest {
    private static final double[] GAPS = {1, 2, 3, 6};

    /** Here the mean is 3, the squares off it add up to 14. */
    @Test
    void twoBatchesByHand() {
        BetaSchedule schedule = new BetaSchedule(.1, .6, .9, 1, 7);
        BetaSchedule.Batch first = schedule.next(GAPS);
        assertEquals(.3, first.schedule().mean(), 1e-15);
        assertEquals(.1 * Math.sqrt(14. / 3), first.schedule().deviation(), 1e-15);
        assertEquals((1 + .6 * (3 - .3)) * .1, first.beta(), 1e-15);
        assertArrayEquals(new double[] {1, 1, 1, 1}, first.weights());

        BetaSchedule.Batch second = first.schedule().next(new double[] {-2, 0});
        assertEquals(.9 * .3 - .1, second.schedule().mean(), 1e-15);
        assertEquals(
                .9 * .1 * Math.sqrt(14. / 3) + .1 * Math.sqrt(2),
                second.schedule().deviation(),
                1e-15);
        assertEquals((1 + .6 * (-1 - .17)) * .1, second.beta(), 1e-15);
        assertEquals(2, second.schedule().batches());
    }

    /** The formulas of the paper's code, evaluated by PyTorch in double: M0, sigma and beta. */
    @Test
    void asThePapersCode() {
        double[][] batches = {{1.5, -.25, .75}, {2, 3.5, -1}, {-4, -2.5, -6}, {.5, .25, 8}};
        double[][] expected = {
            {0.06666666666666665, 0.08779711460710614, 0.13599999999999998},
            {0.20999999999999996, 0.30814618789418746, 0.1774},
            {-0.22766666666666663, 0.452925798318981, 0.001},
            {0.08676666666666662, 0.8480402272112099, 0.26979400000000003}
        };
        BetaSchedule schedule = new BetaSchedule(.1, .6, .9, 1, 0);
        for (int k = 0; k < batches.length; k++) {
            BetaSchedule.Batch batch = schedule.next(batches[k]);
            schedule = batch.schedule();
            double[] actual = {schedule.mean(), schedule.deviation(), batch.beta()};
            assertArrayEquals(expected[k], actual, 1e-15);
        }
    }

    /** What the mean is over, and what the weights are: of those that were drawn alone. */
    @Test
    void theDrawnOnesAlone() {
        BetaSchedule schedule = new BetaSchedule(.1, .6, .9, .5, 3);
        for (int step = 0; step < 50; step++) {
            BetaSchedule.Batch batch = schedule.next(GAPS);
            double sum = 0;
            int drawn = 0;
            for (int i = 0; i < GAPS.length; i++) {
                assertTrue(batch.weights()[i] == 0 || batch.weights()[i] == 2);
                sum += batch.weights()[i] > 0 ? GAPS[i] : 0;
                drawn += batch.weights()[i] > 0 ? 1 : 0;
            }
            assertEquals(2, drawn);
            double off = sum / drawn - batch.schedule().mean();
            assertEquals(Math.max(1e-3, (1 + .6 * off) * .1), batch.beta(), 1e-15);
            schedule = batch.schedule();
        }
    }

    @ParameterizedTest
    @CsvSource({"1, .8, 1", "2, .8, 1", "5, .8, 4", "64, .8, 51", "10, .05, 1", "10, 1, 10"})
    void howManyAreDrawn(int pairs, double keep, int expected) {
        double[] gaps = new Random(1).doubles(pairs).toArray();
        double[] weights = new BetaSchedule(.1, .6, .9, keep, 0).next(gaps).weights();
        assertEquals(expected, Arrays.stream(weights).filter(w -> w > 0).count());
        assertEquals(pairs, Arrays.stream(weights).sum(), 1e-12);
    }

    /**
     * Two of three drawn one after the other, in proportion to their weights: each set's share of
     * many draws.
     */
    @Test
    void drawsAreInProportion() {
        double[] gaps = {0, 1, 2};
        double[] weights = new double[3];
        Arrays.setAll(weights, i -> Math.exp(-.5 * gaps[i] * gaps[i] / 2.25));
        double all = Arrays.stream(weights).sum();
        double[] left = new double[3]; // the chance that a pair is the one left out
        for (int i = 0; i < 3; i++) {
            int j = (i + 1) % 3;
            int k = (i + 2) % 3;
            left[i] =
                    weights[j] / all * weights[k] / (all - weights[j])
                            + weights[k] / all * weights[j] / (all - weights[k]);
        }
        int[] counts = new int[3];
        int draws = 40_000;
        for (int seed = 0; seed < draws; seed++) {
            // A momentum next to 1 keeps M0 and sigma as they are.
            BetaSchedule schedule =
                    new BetaSchedule(.1, 0, Math.nextDown(1.0), .7, 1e-3, 0, 1.5, seed, 0);
            double[] drawn = schedule.next(gaps).weights();
            for (int i = 0; i < 3; i++) {
                counts[i] += drawn[i] == 0 ? 1 : 0;
            }
        }
        for (int i = 0; i < 3; i++) {
            double deviation = Math.sqrt(draws * left[i] * (1 - left[i]));
            assertEquals(draws * left[i], counts[i], 5 * deviation);
        }
    }

    /** A gap far from all others is all but never drawn, however far. */
    @Test
    void outliersAreLeftOut() {
        double[] gaps = {0, .1, -.1, .2, 1e6};
        BetaSchedule schedule = new BetaSchedule(.1, .6, .9, .8, 1e-3, .05, .1, 0, 0);
        // The outlier moves M0 and sigma of its own batch: keep them.
        schedule = new BetaSchedule(.1, .6, Math.nextDown(1.0), .8, 1e-3, .05, .1, 5, 0);
        for (int step = 0; step < 100; step++) {
            BetaSchedule.Batch batch = schedule.next(gaps);
            assertEquals(0, batch.weights()[4]);
            schedule = batch.schedule();
        }
    }

    @Test
    void betaStaysAboveItsFloor() {
        BetaSchedule schedule = new BetaSchedule(.1, .6, .9, 1, 0);
        assertEquals(1e-3, schedule.next(new double[] {-50, -60}).beta());
        assertEquals(.1, new BetaSchedule(.1, 0, .9, 1, 0).next(GAPS).beta());
        assertEquals((1 + .6 * 2) * .1, schedule.betaOf(2), 1e-15);
    }

    /** With a deviation at which every pair may be drawn. */
    private static BetaSchedule wide(long seed) {
        return new BetaSchedule(.1, .6, .9, .5, 1e-3, 0, 2, seed, 0);
    }

    @Test
    void oneSeedOneCourse() {
        double[] gaps = new Random(3).doubles(100, -1, 1).toArray();
        BetaSchedule one = wide(11);
        assertArrayEquals(one.next(gaps).weights(), one.next(gaps).weights());
        assertArrayEquals(one.next(gaps).weights(), wide(11).next(gaps).weights());
        double[] other = wide(12).next(gaps).weights();
        assertNotEquals(Arrays.toString(one.next(gaps).weights()), Arrays.toString(other));
        double[] later = one.next(gaps).schedule().next(gaps).weights();
        assertNotEquals(Arrays.toString(one.next(gaps).weights()), Arrays.toString(later));
    }

    @Test
    void mistakes() {
        BetaSchedule schedule = new BetaSchedule(.1);
        assertEquals(
                "gaps[1] is NaN, expected a finite number",
                message(() -> schedule.next(new double[] {1, Double.NaN})));
        assertEquals(
                "gaps are empty, expected those of a batch",
                message(() -> schedule.next(new double[0])));
        assertEquals(
                "keep is 0.0, expected a number in (0,1]",
                message(() -> new BetaSchedule(.1, .6, .9, 0, 0)));
        assertEquals(
                "momentum is 1.0, expected a number in [0,1)",
                message(() -> new BetaSchedule(.1, .6, 1, .8, 0)));
    }

    private static String message(Runnable wrong) {
        return assertThrows(IllegalArgumentException.class, wrong::run).getMessage();
    }
}
