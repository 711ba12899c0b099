package dev.logratio.bench.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.bench.report.SweepReport.Curve;
import dev.logratio.bench.report.SweepReport.Point;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.ArrayList;
import java.util.List;

class TrendTest {
    private static List<Point> points(double... speeds) {
        List<Point> points = new ArrayList<>();
        for (int i = 0; i < speeds.length; i++) {
            points.add(new Point(1 << i, 1000.0 * (1 << i), speeds[i]));
        }
        return points;
    }

    private static Trend<Point> worst(double... speeds) {
        return Trend.worst(points(speeds), Point::x, Point::bytesPerSecond).orElseThrow();
    }

    @Test
    void aStraightLineHasNone() {
        assertEquals(0, worst(10, 10, 10, 10).below(), 1e-12);
        assertTrue(worst(1, 2, 4, 8).below() <= 1e-12);
    }

    @Test
    void aDipIsFoundAndMeasured() {
        Trend<Point> trend = worst(10, 10, 8, 10, 10);
        assertEquals(4, trend.worst().x());
        assertEquals(0.2, trend.below(), 1e-12);
    }

    @Test
    void theLastPointIsComparedWithTheOneBefore() {
        Trend<Point> trend = worst(10, 10, 10, 7);
        assertEquals(8, trend.worst().x());
        assertEquals(0.3, trend.below(), 1e-12);
    }

    @Test
    void unevenStepsAreWeighed() {
        List<Point> points = List.of(new Point(1, 1, 1), new Point(4, 4, 4), new Point(8, 8, 8));
        assertEquals(
                0,
                Trend.worst(points.subList(0, 3), Point::x, Point::bytesPerSecond)
                        .orElseThrow()
                        .below(),
                1e-12);
    }

    @Test
    void aSinglePointHasNoTrend() {
        assertTrue(Trend.worst(points(1), Point::x, Point::bytesPerSecond).isEmpty());
    }

    @ParameterizedTest
    @CsvSource({"8.6,true", "8.4,false"})
    void aSweepHoldsUnlessADipPastTheCachesIsTooDeep(double dip, boolean holds) {
        assertEquals(holds, sweep(10, 10, 10, 10, dip, 10).holds());
    }

    @Test
    void dipsWithinTheCachesAreAllowed() {
        assertTrue(sweep(10, 3, 10, 10, 10, 10).holds());
    }

    @Test
    void theWorstPointsAreTold() {
        String table = sweep(10, 10, 10, 10, 8, 10).markdown();
        assertTrue(table.contains("| curve | V = 16 | 20.0 % |\n"), table);
        assertFalse(table.contains("null"), table);
    }

    private static SweepReport sweep(double... speeds) {
        Curve curve = new Curve("curve", points(speeds));
        return new SweepReport(
                Examples.MACHINE,
                2500,
                List.of(new SweepReport.Small("pair", 1e-6, null, null)),
                curve,
                List.of(),
                List.of(curve));
    }
}
