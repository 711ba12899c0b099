package dev.logratio.internal;

/** Functions that losses are written with, in forms that neither overflow nor cancel. */
public final class Functions {
    private Functions() {}

    /**
     * The logistic function.
     *
     * @param x any number
     * @return {@code 1 / (1 + exp(-x))}
     */
    public static double logistic(double x) {
        return x > 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
    }

    /**
     * Minus the log of the logistic of {@code -x}.
     *
     * @param x any number
     * @return {@code log(1 + exp(x))}
     */
    public static double softplus(double x) {
        return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
    }

    /**
     * The derivative of the logistic.
     *
     * @param x any number
     * @return {@code logistic(x) * logistic(-x)}
     */
    public static double bell(double x) {
        return logistic(x) * logistic(-x);
    }

    /**
     * The log of what a probability leaves.
     *
     * @param a the log of the probability, at most 0
     * @return {@code log(1 - exp(a))}
     */
    public static double log1mexp(double a) {
        return a > -Math.log(2) ? Math.log(-Math.expm1(a)) : Math.log1p(-Math.exp(a));
    }

    /** A function's value and derivative at a point. */
    public record Slope(double value, double slope) {}

    /**
     * {@code -(1-e) log S(x) - e log S(-x)}: cross-entropy of a logistic with a label smoothed by
     * e.
     */
    public static Slope smoothed(double x, double e) {
        return new Slope(
                (1 - e) * softplus(-x) + product(e, softplus(x)),
                e * logistic(x) - (1 - e) * logistic(-x));
    }

    /** {@code max(0, 1 - x)}, with derivative 0 at the kink. */
    public static Slope hinge(double x) {
        return new Slope(Math.max(0, 1 - x), x < 1 ? -1 : Double.isNaN(x) ? x : 0);
    }

    /** {@code a * b}, with 0 times infinity being 0. */
    public static double product(double a, double b) {
        return a == 0 && !Double.isNaN(b) || b == 0 && !Double.isNaN(a) ? 0 : a * b;
    }

    /**
     * {@code log(sum exp(scale (x - max x)))}, with relative accuracy where all but one value are
     * far below. NaN where one is, or all are -inf.
     */
    public static double logSumAboutLargest(double[] values, double scale) {
        int top = 0;
        for (int k = 0; k < values.length; k++) {
            if (values[k] > values[top] || Double.isNaN(values[k])) {
                top = k;
            }
        }
        double others = 0;
        for (int k = 0; k < values.length; k++) {
            others += k == top ? 0 : Math.exp(scale * (values[k] - values[top]));
        }
        return Double.isFinite(values[top]) ? Math.log1p(others) : Double.NaN;
    }

    /**
     * What a loss adds to the derivative of the whole by a statistic: nothing if it does not depend
     * on that, not even of a NaN.
     */
    public static double share(double upstream, double derivative) {
        return derivative == 0 ? 0 : product(upstream, derivative);
    }

    public static double mean(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return values.length == 0 ? 0 : sum / values.length;
    }

    public static double square(double x) {
        return x * x;
    }
}
