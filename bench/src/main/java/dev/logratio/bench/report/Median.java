package dev.logratio.bench.report;

import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/** The median of a figure over rounds. */
public final class Median {
    private Median() {}

    /**
     * The median of some values.
     *
     * @param values at least one
     * @return the mean of the middle two when their number is even
     */
    public static double of(double... values) {
        return of(values.length, i -> values[i]);
    }

    /**
     * Median of figure(0) .. figure(count - 1); the mean of the middle two when the count is even.
     *
     * @param count at least one
     * @param figure the figure of a number
     * @return their median
     */
    public static double of(int count, IntToDoubleFunction figure) {
        double[] sorted = IntStream.range(0, count).mapToDouble(figure).sorted().toArray();
        return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
    }
}
