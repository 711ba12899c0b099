package dev.logratio.internal;

/** Functions that losses are written with, in forms that neither overflow nor cancel. */
public final class Functions {
    private Functions() {}

    /** {@code 1 / (1 + exp(-x))}. */
    public static double logistic(double x) {
        return x > 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
    }

    /** {@code log(1 + exp(x))}, which is minus the log of the logistic of {@code -x}. */
    public static double softplus(double x) {
        return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
    }

    /** The derivative of the logistic. */
    public static double bell(double x) {
        return logistic(x) * logistic(-x);
    }

    /** {@code log(1 - exp(a))} of a log-prob a. */
    public static double log1mexp(double a) {
        return a > -Math.log(2) ? Math.log(-Math.expm1(a)) : Math.log1p(-Math.exp(a));
    }
}
