package dev.logratio.bench;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;

class GuardTest {
    private static final double RELATIVE = 1e-3;
    private static final double ABSOLUTE = 1e-2;

    @Test
    void passesWithinTheTolerance() {
        assertDoesNotThrow(() -> require(100.09, 0.009));
    }

    @Test
    void namesTheResultThatIsRelativelyOff() {
        assertTrue(
                assertThrows(BenchmarkFailedException.class, () -> require(100.2, 0))
                        .getMessage()
                        .startsWith("result differs"));
    }

    @Test
    void failsWhenASmallValueIsAbsolutelyOff() {
        assertThrows(BenchmarkFailedException.class, () -> require(100, 0.011));
    }

    @Test
    void failsOnNaN() {
        assertThrows(BenchmarkFailedException.class, () -> require(100, Double.NaN));
    }

    private static void require(double... ours) {
        Guard.requireClose(
                "result",
                Tensor.create(ours),
                Tensor.create(new double[] {100, 0}),
                RELATIVE,
                ABSOLUTE);
    }
}
