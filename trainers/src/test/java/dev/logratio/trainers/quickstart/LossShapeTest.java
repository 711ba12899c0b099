package dev.logratio.trainers.quickstart;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.Backend;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Sigmoid;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Stationary points against values found in 50-digit arithmetic. */
class LossShapeTest {
    @ParameterizedTest
    @CsvSource({
        "0.01, 0.05, -4.114417, 0.7192039,  3.350436, 0.9572078,  0.069213",
        "0.01, 0.5,  -0.642189, 0.6968665,  0.571784, 0.9933025,  0.759632",
        "0.05, 0.2,  -0.971813, 0.7244085,  0.777473, 0.9495755,  0.269353",
        "0.1,  0.05, -1.170259, 0.8411742,  0.085094, 0.8466481,  0.001713",
        "0.5,  0.5,  -0.237140, 0.7859239,  0.144012, 0.8782896,  0.392132",
    })
    void findsDlrmlsMinimumAndMaximum(double betaKl, double betaMix, double minimum, double lossAtMinimum, double maximum, double lossAtMaximum, double slope) {
        LossShape shape = LossShape.of(new Dlrml(betaKl, betaMix, 0.05), Backend.reference());
        assertEquals(minimum, shape.minimum().orElseThrow(), 6e-7);
        assertEquals(lossAtMinimum, shape.lossAtMinimum(), 6e-8);
        assertEquals(maximum, shape.maximum().orElseThrow(), 6e-7);
        assertEquals(lossAtMaximum, shape.lossAtMaximum(), 6e-8);
        assertEquals(slope, shape.slopeAtStart(), 6e-7);
    }

    @Test
    void findsDiscopopsMinimumAndMaximum() {
        LossShape shape = LossShape.of(new DiscoPop(), Backend.reference());
        assertEquals(-2.3713978537652762, shape.minimum().orElseThrow(), 1e-9);
        assertEquals(0.7859239195933658, shape.lossAtMinimum(), 1e-12);
        assertEquals(1.440122275968318, shape.maximum().orElseThrow(), 1e-9);
        assertEquals(0.8782896115990277, shape.lossAtMaximum(), 1e-12);
        assertEquals(0.039213204860013673, shape.slopeAtStart(), 1e-14);
    }

    @ParameterizedTest
    @CsvSource({"0.25, 0.10, -0.034074", "0.5, 0.2, -0.068147", "0.5, 0.05, -0.298287"})
    void findsNoneWhereThereIsNone(double betaKl, double betaMix, double slope) {
        LossShape shape = LossShape.of(new Dlrml(betaKl, betaMix, 0.05), Backend.reference());
        assertTrue(shape.minimum().isEmpty());
        assertTrue(shape.maximum().isEmpty());
        assertEquals(slope, shape.slopeAtStart(), 6e-7);
        assertFalse(shape.traps(0));
    }

    @Test
    void dpoHasNone() {
        LossShape shape = LossShape.of(new Sigmoid(), Backend.reference());
        assertTrue(shape.minimum().isEmpty());
        assertEquals(-0.05, shape.slopeAtStart(), 1e-15);
    }

    @Test
    void trapsWithinATenth() {
        LossShape shape = LossShape.of(new DiscoPop(), Backend.reference());
        assertTrue(shape.traps(-2.60));
        assertTrue(shape.traps(-2.14));
        assertFalse(shape.traps(-2.62));
        assertFalse(shape.traps(-2.12));
        assertFalse(shape.traps(2.37));
    }
}
