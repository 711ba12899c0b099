package dev.logratio.internal.reference;

import dev.logratio.internal.Functions;

/**
 * Functions that the reference's losses are written with, in forms that neither overflow nor
 * cancel.
 */
public final class ReferenceMath {
    private ReferenceMath() {}

    /** A function's value and derivative at a point. */
    public record Slope(double value, double slope) {}

    /** {@code 1 / (1 + exp(-x))}. */
    static double logistic(double x) {
        return Functions.logistic(x);
    }

    /** {@code log(1 + exp(x))}, which is minus the log of the logistic of {@code -x}. */
    static double softplus(double x) {
        return Functions.softplus(x);
    }

    /** The derivative of the logistic. */
    static double bell(double x) {
        return Functions.bell(x);
    }

    /**
     * {@code -(1-e) log S(x) - e log S(-x)}: cross-entropy of a logistic with a label smoothed by
     * e.
     */
    static Slope smoothed(double x, double e) {
        return new Slope(
                (1 - e) * softplus(-x) + product(e, softplus(x)),
                e * logistic(x) - (1 - e) * logistic(-x));
    }

    /** {@code max(0, 1 - x)}, with derivative 0 at the kink. */
    static Slope hinge(double x) {
        return new Slope(Math.max(0, 1 - x), x < 1 ? -1 : Double.isNaN(x) ? x : 0);
    }

    /** {@code log(1 - exp(a))} of a log-prob a. */
    static double log1mexp(double a) {
        return Functions.log1mexp(a);
    }

    /** {@code a * b}, with 0 times infinity being 0. */
    static double product(double a, double b) {
        return a == 0 && !Double.isNaN(b) || b == 0 && !Double.isNaN(a) ? 0 : a * b;
    }

    /**
     * {@code log(sum exp(scale (x - max x)))}, with relative accuracy where all but one value are
     * far below. NaN where one is, or all are -inf.
     */
    static double logSumAboutLargest(double[] values, double scale) {
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
    static double share(double upstream, double derivative) {
        return derivative == 0 ? 0 : product(upstream, derivative);
    }

    static double mean(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return values.length == 0 ? 0 : sum / values.length;
    }

    static double square(double x) {
        return x * x;
    }
}
