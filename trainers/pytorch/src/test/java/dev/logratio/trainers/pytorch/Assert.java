package dev.logratio.trainers.pytorch;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.function.Executable;

/** What the tests compare. */
final class Assert {
    private Assert() {}

    /** All elements in row-major order; every type but Double is exact. */
    static double[] values(Tensor tensor) {
        try (dev.logratio.Tensor view = TorchTensors.view("tensor", tensor.detach())) {
            return view.toDoubles();
        }
    }

    static void assertSameBits(double[] expected, Tensor actual) {
        assertArrayEquals(expected, values(actual));
    }

    /**
     * Compares with a Double oracle.
     *
     * @param relative share of the expected value's size
     * @param absolute share of the largest expected value's size
     */
    static void assertClose(Tensor expected, Tensor actual, double relative, double absolute) {
        assertEquals(ScalarType.Double, expected.scalar_type().intern());
        double[] oracle = values(expected);
        double[] ours = values(actual);
        double largest = 0;
        for (double value : oracle) {
            largest = Math.max(largest, Math.abs(value));
        }
        assertEquals(oracle.length, ours.length);
        for (int i = 0; i < oracle.length; i++) {
            assertEquals(
                    oracle[i],
                    ours[i],
                    relative * Math.abs(oracle[i]) + absolute * largest,
                    "element " + i);
        }
    }

    static void assertRefused(Class<? extends Exception> type, String message, Executable call) {
        assertEquals(message, assertThrows(type, call).getMessage());
    }

    static void assertBad(String message, Executable call) {
        assertRefused(IllegalArgumentException.class, message, call);
    }

    static void assertState(String message, Executable call) {
        assertRefused(IllegalStateException.class, message, call);
    }

    static void assertNull(String name, Executable call) {
        assertRefused(NullPointerException.class, name, call);
    }
}
