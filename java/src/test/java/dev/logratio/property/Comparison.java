package dev.logratio.property;

import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.property.PropertyCase.Output;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;

/**
 * Outputs beside those of the reference: within what is promised of their type, and NaN or infinite
 * only where the reference is.
 */
final class Comparison {
    private Comparison() {}

    /**
     * What is wrong.
     *
     * @return one line an output, none if all is right
     */
    static List<String> faults(List<Output> expected, List<Output> actual) {
        List<String> faults = new ArrayList<>();
        if (expected.size() != actual.size()) {
            throw new AssertionError(expected.size() + " outputs beside " + actual.size());
        }
        for (int i = 0; i < expected.size(); i++) {
            compare(expected.get(i), actual.get(i), faults);
        }
        return faults;
    }

    private static void compare(Output expected, Output actual, List<String> faults) {
        Promise promise = Promise.of(actual.dtype());
        double largest = 0;
        for (double value : expected.values()) {
            largest = Double.isFinite(value) ? Math.max(largest, Math.abs(value)) : largest;
        }
        int wrong = 0;
        int worst = 0;
        double worstExcess = -1;
        for (int i = 0; i < expected.values().length; i++) {
            double right = expected.values()[i];
            double got = actual.values()[i];
            double tolerance =
                    promise.relative * Math.abs(right)
                            + promise.ofLargest * largest
                            + promise.absolute
                            + expected.slack()[i];
            if (!agrees(right, got, tolerance, actual.dtype())) {
                double times = Math.abs(got - right) / tolerance;
                double excess = Double.isFinite(times) ? times : Double.POSITIVE_INFINITY;
                worst = excess > worstExcess ? i : worst;
                worstExcess = Math.max(excess, worstExcess);
                wrong++;
            }
        }
        if (wrong > 0) {
            faults.add(
                    "%s %s[%d] is %s, expected %s (%.3g times the tolerance), %d of %d wrong"
                            .formatted(
                                    actual.name(),
                                    actual.dtype(),
                                    worst,
                                    actual.values()[worst],
                                    expected.values()[worst],
                                    worstExcess,
                                    wrong,
                                    expected.values().length));
        }
    }

    private static boolean agrees(double right, double got, double tolerance, DType dtype) {
        if (!Double.isFinite(right)) {
            return Double.compare(right, got) == 0;
        }
        if (Math.abs(got - right) <= tolerance) {
            return true;
        }
        // What is too large for the type is infinite there, and may be where the tolerance reaches
        // beyond the type.
        return Double.isInfinite(got)
                && got == rounded(right + Math.copySign(tolerance, right), dtype);
    }

    private static double rounded(double value, DType dtype) {
        try (Arena arena = Arena.ofConfined()) {
            return Tensor.of(arena, dtype, new double[] {value}, 1).getDouble(0);
        }
    }

    /**
     * How near an output of a type must come: relative to its value, relative to the largest of its
     * tensor, and at all.
     */
    private record Promise(double relative, double ofLargest, double absolute) {
        static Promise of(DType dtype) {
            return switch (dtype) {
                // Loops over the vocabulary are float32, whatever the type of the output. What is
                // below its normal numbers there may be lost, times what a call multiplies it with.
                case F64, F32 -> new Promise(2e-5, 3e-6, 0x1p-116);
                // A last place is 2^-7 of a value; half of it is rounding.
                case BF16 -> new Promise(0x1p-7, 2e-3, 0x1p-116);
                // The same with three bits more; the smallest numbers are 2^-24 apart.
                case F16 -> new Promise(0x1p-10, 2.5e-4, 0x1p-24);
                default -> new Promise(0, 0, 0);
            };
        }
    }
}
