package dev.logratio.loss;

/** The range checks of the records' constructors. */
final class Ranges {
    private Ranges() {}

    static void positive(String option, double value) {
        require(value > 0 && value < Double.POSITIVE_INFINITY, option, value, Range.POSITIVE);
    }

    static void finite(String option, double value) {
        require(Double.isFinite(value), option, value, Range.FINITE);
    }

    static void notNegative(String option, double value) {
        require(value >= 0 && value < Double.POSITIVE_INFINITY, option, value, Range.NOT_NEGATIVE);
    }

    static void smoothing(String option, double value) {
        require(value >= 0 && value < .5, option, value, Range.SMOOTHING);
    }

    static void smoothingAboveZero(String option, double value) {
        require(value > 0 && value < .5, option, value, Range.SMOOTHING_ABOVE_ZERO);
    }

    private static void require(boolean holds, String option, double value, String range) {
        if (!holds) {
            throw new IllegalArgumentException(
                    option + " is " + value + ", expected a number " + range);
        }
    }
}
