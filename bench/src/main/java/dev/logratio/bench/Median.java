package dev.logratio.bench;

import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/** The median of a figure over rounds. */
final class Median {
    private Median() {}

    /** Median of figure(0) .. figure(count - 1); the mean of the middle two when the count is even. */
    static double of(int count, IntToDoubleFunction figure) {
        double[] sorted = IntStream.range(0, count).mapToDouble(figure).sorted().toArray();
        return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
    }
}
