package dev.logratio.trainers.quickstart;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.DlrmlShape;
import dev.logratio.loss.DlrmlShape.Point;
import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.api.Test;

/** Which losses have a minimum that pairs may be caught in, and which pairs are. */
class EvaluationTest {
    @Test
    void theMinimumOfALoss() {
        assertEquals(
                -2.3713978537652762,
                RunResult.shapeOf(new DiscoPop()).flatMap(DlrmlShape::minimum).orElseThrow().rho(),
                1e-9);
        assertEquals(
                -0.971813,
                RunResult.shapeOf(new Dlrml()).flatMap(DlrmlShape::minimum).orElseThrow().rho(),
                6e-7);
        assertTrue(RunResult.shapeOf(new Dlrml(.25, .10, .05)).orElseThrow().minimum().isEmpty());
        assertTrue(RunResult.shapeOf(new Sigmoid()).isEmpty());
    }

    @Test
    void aPairIsAtTheMinimumWithinATenth() {
        Point minimum = new Point(-2.3714, .7859);
        assertTrue(Evaluation.isAt(minimum, -2.60));
        assertTrue(Evaluation.isAt(minimum, -2.14));
        assertFalse(Evaluation.isAt(minimum, -2.62));
        assertFalse(Evaluation.isAt(minimum, -2.12));
        assertFalse(Evaluation.isAt(minimum, 2.37));
    }
}
