package dev.logratio.internal;

/**
 * An interval of finite numbers.
 *
 * @param lower its lower bound; -infinity if it has none
 * @param upper its upper bound; infinity if it has none
 * @param lowerIncluded whether it holds its lower bound
 * @param upperIncluded whether it holds its upper bound
 */
public record Interval(double lower, double upper, boolean lowerIncluded, boolean upperIncluded) {
    /** All finite numbers. */
    public static final Interval FINITE =
            new Interval(Double.NEGATIVE_INFINITY, Double.POSITIVE_INFINITY, false, false);

    static Interval of(Range range) {
        return new Interval(
                Math.max(range.from(), range.above()),
                Math.min(range.to(), range.below()),
                range.from() > range.above(),
                range.to() < range.below());
    }

    /**
     * Whether it holds a number.
     *
     * @param x any number
     * @return false for infinities and NaN, always
     */
    public boolean contains(double x) {
        return Double.isFinite(x)
                && (x > lower || x == lower && lowerIncluded)
                && (x < upper || x == upper && upperIncluded);
    }

    /**
     * Refuses a number outside.
     *
     * @param name of the number, for the message
     * @param x the number
     * @throws IllegalArgumentException if it is outside; the message names it
     */
    public void require(String name, double x) {
        if (!contains(x)) {
            throw new IllegalArgumentException(name + " is " + x + ", expected " + this);
        }
    }

    /** In words, to follow "expected": {@code a finite number > 0}, {@code a number in [0,1)}. */
    @Override
    public String toString() {
        if (upper < Double.POSITIVE_INFINITY) {
            return "a number in "
                    + (lowerIncluded ? "[" : "(")
                    + text(lower)
                    + ","
                    + text(upper)
                    + (upperIncluded ? "]" : ")");
        }
        if (lower > Double.NEGATIVE_INFINITY) {
            return "a finite number " + (lowerIncluded ? ">= " : "> ") + text(lower);
        }
        return "a finite number";
    }

    private static String text(double bound) {
        return bound == Math.rint(bound) ? Long.toString((long) bound) : Double.toString(bound);
    }
}
