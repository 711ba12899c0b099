package dev.logratio.bench.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

class NoiseBandTest {
    private static double[] around(double centre, double spread, int count, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        double[] values = new double[count];
        Arrays.setAll(values, i -> centre + spread * random.nextGaussian());
        return values;
    }

    @Test
    void twoRepeatsTellNone() {
        assertNull(NoiseBand.of(List.of(new double[] {1, 2}, new double[] {1, 2})));
    }

    @Test
    void withoutNoiseItIsZero() {
        double[] same = {0.5, 0.5, 0.5};
        assertEquals(0, NoiseBand.of(List.of(same, same, same)));
    }

    @Test
    void itSpansTheRepeats() {
        double band =
                NoiseBand.of(
                        List.of(
                                around(0.80, 0.001, 5, 1),
                                around(0.90, 0.001, 5, 2),
                                around(0.91, 0.001, 5, 3)));
        assertEquals(0.11, band, 0.01);
    }

    @Test
    void oneDisturbedRoundDoesNotWidenIt() {
        List<double[]> repeats = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            repeats.add(around(0.9, 0.005, 9, i));
        }
        double quiet = NoiseBand.of(repeats);
        repeats.get(1)[4] = 0.2;
        assertEquals(quiet, NoiseBand.of(repeats), 0.005);
    }

    /** Two runs of the same code: how often the comparison would cry wolf. */
    @Test
    void runsOfTheSameCodeSeldomDifferByMore() {
        int alarms = 0;
        int runs = 200;
        for (int run = 0; run < runs; run++) {
            List<double[]> before = run(2L * run);
            List<double[]> after = run(2L * run + 1);
            double fall = pooled(before) - pooled(after);
            if (fall > Math.max(NoiseBand.of(before), NoiseBand.of(after))) {
                alarms++;
            }
        }
        assertTrue(alarms <= runs / 20, alarms + " false alarms of " + runs);
    }

    /** Repeats that differ by twice what their rounds do. */
    private static List<double[]> run(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        List<double[]> repeats = new ArrayList<>();
        for (int repeat = 0; repeat < 3; repeat++) {
            repeats.add(around(0.9 + 0.02 * random.nextGaussian(), 0.01, 4, random.nextLong()));
        }
        return repeats;
    }

    private static double pooled(List<double[]> repeats) {
        return Median.of(repeats.stream().flatMapToDouble(Arrays::stream).toArray());
    }
}
