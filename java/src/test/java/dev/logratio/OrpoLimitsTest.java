package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.PairRun.Batch;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Orpo;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.stream.Stream;

/**
 * ORPO where an answer is nearly or wholly certain: every digit that the mean log-probs have, and
 * the limits at 0.
 */
class OrpoLimitsTest {
    private static final double INFINITY = Double.POSITIVE_INFINITY;

    /** exp(-1) / (1 - exp(-1)), the odds of a mean log-prob of -1. */
    private static final double ODDS = Math.exp(-1) / -Math.expm1(-1);

    /**
     * Mean log-prob of the chosen and of the rejected answer, loss, and its derivatives by these
     * means, at beta .1: the formula in arithmetic of 700 digits, rounded to 17.
     */
    private static final double[][] EXACT = {
        {
            -4.25e-18,
            -4.25e-18,
            6.9314718055994539e-2,
            -1.1764705882352944e16,
            1.1764705882352943e16
        },
        {-4.25e-18, -1e-16, 4.1621674690819503e-3, -9.5923261390887393e14, 4.07673860911271e13},
        {-4.25e-18, -1e-9, 4.2500000313437497e-10, -1.00000000525e8, 0.42499999819374995},
        {-4.25e-18, -1e-3, 4.2903753541666516e-16, -1.0095000833333277e2, 4.2499996458333328e-13},
        {-4.25e-18, -1.0, 4.4973401004194635e-18, -1.0581976706869326, 3.9128627753831173e-19},
        {-4.25e-18, -50.0, 4.2499999999999997e-18, -1.0, 8.1971868538466505e-41},
        {-1e-16, -4.25e-18, 0.31998728777425866, -9.5923261390887403e14, 2.2570179150797012e16},
        {-1e-16, -1e-16, 6.9314718055994635e-2, -5.0000000000000106e14, 5.0000000000000006e14},
        {-1e-16, -1e-9, 9.9999995950000341e-9, -9.9999990950001019e7, 9.9999990000001001},
        {-1e-16, -1e-3, 1.0095000833332821e-14, -1.0095000833332322e2, 9.9999991666657093e-12},
        {-1e-16, -1.0, 1.0581976706869326e-16, -1.0581976706869326, 9.2067359420779234e-18},
        {-1e-16, -50.0, 9.9999999999999998e-17, -1.0, 1.9287498479639179e-39},
        {-1e-9, -4.25e-18, 1.9276346868760087, -1.00000000625e8, 2.3529411664705886e16},
        {-1e-9, -1e-16, 1.6118095761458316, -9.9999991050000999e7, 9.9999990000001018e14},
        {-1e-9, -1e-9, 6.9314719055994535e-2, -5.0000001025e7, 5.0000000025e7},
        {-1e-9, -1e-3, 1.0094995843332061e-7, -1.0094990853334125e2, 9.9999891766766883e-5},
        {-1e-9, -1.0, 1.0581976706990967e-9, -1.0581976707112606, 9.2067359413231864e-11},
        {-1e-9, -50.0, 1.0000000000000001e-9, -1.0, 1.9287498489282929e-32},
        {-1e-3, -4.25e-18, 3.3102357453641032, -1.0105000833333277e2, 2.3529411764705785e16},
        {-1e-3, -1e-16, 2.9944106250589362, -1.010500083333232e2, 9.9999999999990018e14},
        {-1e-3, -1e-9, 1.3826011598630525, -1.0104990833344143e2, 9.9999900100091466e7},
        {-1e-3, -1e-3, 7.0314718055994535e-2, -51.025004166666599, 50.025004166666599},
        {-1e-3, -1.0, 1.0582098340126674e-3, -1.0582219966726944, 9.2059804989480881e-5},
        {-1e-3, -50.0, 1.0e-3, -1.0, 1.9297145444265885e-26},
        {-1.0, -4.25e-18, 5.0540937545569417, -1.1581976706869327, 2.3529411764705885e16},
        {-1.0, -1e-16, 4.7382686342517651, -1.1581976706869326, 1.0000000000000001e15},
        {-1.0, -1e-9, 3.1264590691641307, -1.1581976705948653, 9.9999999991802329e7},
        {-1.0, -1e-3, 1.7449162190268516, -1.1581056108819432, 99.991786336660504},
        {-1.0, -1.0, 1.0693147180559945, -1.0790988353434663, 7.9098835343466326e-2},
        {-1.0, -50.0, 1.0, -1.0, 3.3141358153995463e-23},
        {-50.0, -4.25e-18, 58.99996126909565, -1.1, 2.3529411764705885e16},
        {-50.0, -1e-16, 58.684136148790474, -1.1, 1.0000000000000001e15},
        {-50.0, -1e-9, 57.072326583644642, -1.1, 1.0000000005e8},
        {-50.0, -1e-3, 55.690725523731547, -1.1, 1.000500083333332e2},
        {-50.0, -1.0, 54.945867514538708, -1.1, 0.15819767068693265},
        {-50.0, -50.0, 50.069314718055995, -1.05, 5.0000000000000003e-2},
    };

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** Answers of four and of two tokens; gradients of the sum of the losses. */
    private static PairRun run(
            Backend backend, Orpo loss, double[] chosenMeans, double[] rejectedMeans) {
        int pairs = chosenMeans.length;
        Batch batch =
                Batch.of(scaled(4, chosenMeans), scaled(2, rejectedMeans))
                        .withCounts(filled(pairs, 4), filled(pairs, 2));
        return PairRun.of(backend, loss, batch.withUpstream(filled(pairs, 1)));
    }

    private static double[] scaled(double factor, double... values) {
        return Arrays.stream(values).map(value -> factor * value).toArray();
    }

    private static double[] filled(int length, double value) {
        double[] values = new double[length];
        Arrays.fill(values, value);
        return values;
    }

    private static double[] column(int k) {
        return Arrays.stream(EXACT).mapToDouble(row -> row[k]).toArray();
    }

    @ParameterizedTest
    @MethodSource("backends")
    void everyDigitOfCertainAnswers(Backend backend) {
        PairRun run = run(backend, new Orpo(), column(0), column(1));
        Expect.near("loss", column(2), run.losses(), 1e-13, 0);
        Expect.near("d chosen", scaled(1.0 / 4, column(3)), run.gradient()[0], 1e-13, 0);
        Expect.near("d rejected", scaled(1.0 / 2, column(4)), run.gradient()[1], 1e-13, 0);
    }

    /** The limits of a log-prob that goes to 0 from below; one above 0 is a rounded 0, -0 is 0. */
    @ParameterizedTest
    @MethodSource("backends")
    void limitsAtZero(Backend backend) {
        for (double zero : new double[] {0, -0.0, 1e-300, 1e-17, 2e-7, .3}) {
            double[] chosen = {zero, -1, zero, zero, -INFINITY};
            double[] rejected = {-1, zero, zero, -INFINITY, zero};
            PairRun run = run(backend, new Orpo(), chosen, rejected);
            double[] losses = {0, INFINITY, .1 * Math.log(2), 0, INFINITY};
            Expect.near("loss", losses, run.losses(), 1e-14, 0, 0);
            double[] byChosen = {-1 - .1 * ODDS, -1 - .1 * (1 + ODDS), -1, -1, -1 - .1};
            double[] byRejected = {0, INFINITY, 0, 0, INFINITY};
            Expect.near("d chosen", scaled(1.0 / 4, byChosen), run.gradient()[0], 1e-14, 0, 0);
            Expect.near("d rejected", byRejected, run.gradient()[1], 1e-14, 0, 0);
        }
    }

    /** What is nearly 0 is not 0: the smallest of numbers has odds of its own. */
    @ParameterizedTest
    @MethodSource("backends")
    void finiteBesideTheLimits(Backend backend) {
        double[] chosen = {-1e-300, -1, -1e-300};
        double[] rejected = {-1, -1e-300, -1e-300};
        PairRun run = run(backend, new Orpo(), chosen, rejected);
        double minusOdds =
                300 * Math.log(10) - Math.log(ODDS); // their sigmoid is 1 to the last digit
        double[] losses = {0, 1 + .1 * minusOdds, .1 * Math.log(2)};
        Expect.near("loss", losses, run.losses(), 1e-13, 0, 1e-299);
        double[] byChosen = {-1 - .1 * ODDS, -1 - .1 * (1 + ODDS), -5e298};
        Expect.near("d chosen", scaled(1.0 / 4, byChosen), run.gradient()[0], 1e-13, 0);
        double[] byRejected = {0, 1e299, 5e298};
        Expect.near("d rejected", scaled(1.0 / 2, byRejected), run.gradient()[1], 1e-13, 0, 1e-298);
    }

    /** A rounded 0 counts as 0 in the mean over the batch's tokens, too. */
    @ParameterizedTest
    @MethodSource("backends")
    void zeroInTheMeanOfTheBatch(Backend backend) {
        PairRun run =
                run(
                        backend,
                        new Orpo(.1, Nll.TOKEN),
                        new double[] {.25, -1},
                        new double[] {-2, -1});
        assertEquals(.5, run.losses()[0], 0);
        assertEquals(.5 + .1 * Math.log(2), run.losses()[1], 1e-15);
    }
}
