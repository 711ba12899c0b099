package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Comparison of numbers with a tolerance; NaN and infinities must be the same. */
final class Expect {
    private Expect() {}

    /** Within 1e-9 relative; below the normal doubles anything that small will do. */
    static void exact(String what, double expected, double actual) {
        near(what, new double[] {expected}, new double[] {actual}, 1e-9, 0);
    }

    static void exact(String what, double[] expected, double[] actual) {
        near(what, expected, actual, 1e-9, 1e-12);
    }

    /** Compares within what is promised of an output or gradient of a dtype. */
    static void asPromised(String what, DType dtype, double[] expected, double[] actual) {
        switch (dtype) {
            case F64, F32 -> near(what, expected, actual, 2e-5, 3e-6);
            case BF16 -> near(what, expected, actual, 0x1p-7, 2e-3);
            case F16 -> near(what, expected, actual, 0x1p-10, 2e-3);
            default -> throw new AssertionError(dtype);
        }
    }

    /** Within a relative tolerance, or one relative to the largest finite value. */
    static void near(
            String what, double[] expected, double[] actual, double relative, double ofLargest) {
        near(what, expected, actual, relative, ofLargest, Double.MIN_NORMAL);
    }

    /**
     * Compares within a relative tolerance, one relative to the largest finite value, or an
     * absolute one.
     */
    static void near(
            String what,
            double[] expected,
            double[] actual,
            double relative,
            double ofLargest,
            double absolute) {
        assertEquals(expected.length, actual.length, what);
        double largest = 0;
        for (double value : expected) {
            largest = Double.isFinite(value) ? Math.max(largest, Math.abs(value)) : largest;
        }
        for (int i = 0; i < expected.length; i++) {
            double tolerance =
                    Math.max(
                            Math.max(relative * Math.abs(expected[i]), ofLargest * largest),
                            absolute);
            boolean agrees =
                    Double.isFinite(expected[i])
                            ? Math.abs(actual[i] - expected[i]) <= tolerance
                            : Double.compare(actual[i], expected[i]) == 0;
            assertTrue(
                    agrees,
                    what
                            + "["
                            + i
                            + "] is "
                            + actual[i]
                            + ", expected "
                            + expected[i]
                            + " within "
                            + tolerance);
        }
    }
}
