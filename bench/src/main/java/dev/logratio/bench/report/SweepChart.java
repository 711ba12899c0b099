package dev.logratio.bench.report;

import dev.logratio.bench.report.SweepReport.Curve;
import dev.logratio.bench.report.SweepReport.Point;

import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.internal.chartpart.IChart;
import org.knowm.xchart.style.XYStyler;
import org.knowm.xchart.style.markers.SeriesMarkers;

import java.awt.BasicStroke;
import java.awt.Color;
import java.util.ArrayList;
import java.util.List;

/** The speed by the number of rows, and by their length. */
final class SweepChart {
    private static final List<Color> COLORS =
            List.of(Charts.BLUE, Charts.ORANGE, Charts.GREEN, Charts.GRAY);

    private SweepChart() {}

    static List<IChart> of(SweepReport report) {
        String where = report.machine().setting();
        List<Curve> byRows = new ArrayList<>(report.rows());
        byRows.add(report.probe());
        return List.of(
                chart(where, "rows N of a fixed length", byRows),
                chart(where, "vocabulary V, rows of a fixed size in all", report.columns()));
    }

    private static XYChart chart(String title, String x, List<Curve> curves) {
        XYChart chart =
                new XYChartBuilder()
                        .width(1100)
                        .height(560)
                        .title(title)
                        .xAxisTitle(x)
                        .yAxisTitle("GB/s that have to be read and written")
                        .build();
        XYStyler style = chart.getStyler();
        Charts.style(style);
        style.setXAxisLogarithmic(true).setXAxisDecimalPattern("0");
        style.setYAxisMin(0.0).setYAxisDecimalPattern("0");
        for (int i = 0; i < curves.size(); i++) {
            List<Point> points = curves.get(i).points();
            XYSeries series =
                    chart.addSeries(
                            curves.get(i).name(),
                            points.stream().mapToDouble(Point::x).toArray(),
                            points.stream().mapToDouble(p -> p.bytesPerSecond() / 1e9).toArray());
            Color color = COLORS.get(i % COLORS.size());
            series.setLineColor(color).setLineStyle(new BasicStroke(2));
            series.setMarker(SeriesMarkers.CIRCLE).setMarkerColor(color);
        }
        return chart;
    }
}
