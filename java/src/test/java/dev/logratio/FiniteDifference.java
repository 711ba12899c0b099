package dev.logratio;

import java.util.function.ToDoubleFunction;

/** Derivatives of a function of several numbers by fourth-order central differences. */
final class FiniteDifference {
    private FiniteDifference() {}

    static double[] gradient(ToDoubleFunction<double[]> function, double[] at, double step) {
        double[] gradient = new double[at.length];
        for (int k = 0; k < at.length; k++) {
            gradient[k] =
                    (8 * (moved(function, at, k, step) - moved(function, at, k, -step))
                                    - (moved(function, at, k, 2 * step)
                                            - moved(function, at, k, -2 * step)))
                            / (12 * step);
        }
        return gradient;
    }

    private static double moved(
            ToDoubleFunction<double[]> function, double[] at, int k, double by) {
        double[] point = at.clone();
        point[k] += by;
        return function.applyAsDouble(point);
    }
}
