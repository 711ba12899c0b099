package dev.logratio.bench.report;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * How much a median differs from run to run without a change of the code: the width of its 95 %
 * bootstrap interval.
 *
 * <p>Repeats are drawn first, then rounds of the drawn repeats. So the band spans what the repeats
 * differ by, from fresh memory and a machine that drifts, as well as what rounds of one repeat do;
 * with three repeats it is hardly ever narrower than the distance of their medians. It assumes no
 * distribution, and one round that was disturbed does not widen it. The whole width, not half of
 * it, is what a comparison allows: the difference of two runs varies by the square root of two more
 * than one of them.
 */
public final class NoiseBand {
    /** With fewer repeats nothing is known of how they differ. */
    public static final int LEAST_REPEATS = 3;

    private static final int RESAMPLES = 4000;
    private static final double TAIL = 0.025;
    private static final long SEED = 20240611;

    private NoiseBand() {}

    /**
     * The band of a ratio.
     *
     * @param repeats the ratios of each repeat's rounds
     * @return null if there are fewer repeats than {@link #LEAST_REPEATS}
     */
    public static Double of(List<double[]> repeats) {
        if (repeats.size() < LEAST_REPEATS) {
            return null;
        }
        SplittableRandom random = new SplittableRandom(SEED);
        double[] medians = new double[RESAMPLES];
        Arrays.setAll(medians, i -> Median.of(resample(repeats, random)));
        Arrays.sort(medians);
        int tail = (int) (TAIL * RESAMPLES);
        return medians[RESAMPLES - 1 - tail] - medians[tail];
    }

    private static double[] resample(List<double[]> repeats, SplittableRandom random) {
        return IntStream.range(0, repeats.size())
                .mapToObj(i -> repeats.get(random.nextInt(repeats.size())))
                .flatMapToDouble(
                        rounds ->
                                Arrays.stream(rounds)
                                        .map(round -> rounds[random.nextInt(rounds.length)]))
                .toArray();
    }
}
