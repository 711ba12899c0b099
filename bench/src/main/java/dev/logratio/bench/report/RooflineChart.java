package dev.logratio.bench.report;

import org.knowm.xchart.AnnotationLine;
import org.knowm.xchart.AnnotationText;
import org.knowm.xchart.HorizontalBarChart;
import org.knowm.xchart.HorizontalBarChartBuilder;
import org.knowm.xchart.internal.chartpart.IChart;
import org.knowm.xchart.style.HorizontalBarStyler;

import java.awt.BasicStroke;
import java.awt.Font;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/** The bandwidth that every case reaches, beside what memory allows it: two bars each. */
final class RooflineChart {
    private static final int WIDTH = 1250;
    private static final int HEIGHT_OF_CASE = 27;
    private static final int HEIGHT_OF_FRAME = 210;
    private static final double MARGIN = 1.05;

    private RooflineChart() {}

    /** One chart; none where no case is bounded by memory, or an old file does not tell bytes. */
    static List<IChart> of(Report report) {
        List<Measurement> rows =
                report.alternating().stream().filter(row -> row.bytes() != null).toList();
        if (rows.isEmpty()) {
            return List.of();
        }
        HorizontalBarChart chart =
                new HorizontalBarChartBuilder()
                        .width(WIDTH)
                        .height(HEIGHT_OF_FRAME + HEIGHT_OF_CASE * rows.size())
                        .title(report.machine().setting())
                        .xAxisTitle("GB/s that have to be read and written")
                        .yAxisTitle("case")
                        .build();
        HorizontalBarStyler style = chart.getStyler();
        Charts.style(style);
        style.setXAxisDecimalPattern("0");
        style.setXAxisMin(0.0).setXAxisMax(MARGIN * highest(report, rows) / 1e9);
        // A name for every bar: XChart leaves names out where they are closer than the hint, and
        // takes that of the other axis.
        style.setXAxisTickMarkSpacingHint(HEIGHT_OF_CASE / 2);
        style.setYAxisTickMarkSpacingHint(HEIGHT_OF_CASE / 2);
        style.setAvailableSpaceFill(0.75);
        style.setPlotGridHorizontalLinesVisible(false);
        style.setLabelsVisible(false);
        style.setAnnotationLineColor(Charts.ORANGE).setAnnotationLineStroke(new BasicStroke(2));
        style.setAnnotationTextFont(new Font(Font.SANS_SERIF, Font.BOLD, 14));
        List<String> names = rows.stream().map(Measurement::name).toList();
        chart.addSeries(
                        "allowed by memory in the same rounds",
                        gigabytes(rows, Measurement::allowed),
                        names)
                .setFillColor(Charts.GRAY);
        chart.addSeries("reached", gigabytes(rows, Measurement::reached), names)
                .setFillColor(Charts.BLUE);
        mark(chart, "read", report.bandwidth().read(), rows.size());
        mark(chart, "update", report.bandwidth().update(), rows.size());
        return List.of(chart);
    }

    private static List<Double> gigabytes(
            List<Measurement> rows, Function<Measurement, Double> bandwidth) {
        return rows.stream().map(row -> bandwidth.apply(row) / 1e9).toList();
    }

    /** A line across all bars, with its name below the last. */
    private static void mark(HorizontalBarChart chart, String name, double bandwidth, int rows) {
        double x = bandwidth / 1e9;
        chart.addAnnotation(new AnnotationLine(x, true, false));
        chart.addAnnotation(
                new AnnotationText(
                        String.format(Locale.ROOT, "%s %.1f", name, x), x, rows + 1, false));
    }

    private static double highest(Report report, List<Measurement> rows) {
        return rows.stream()
                .mapToDouble(row -> Math.max(row.reached(), row.allowed()))
                .reduce(
                        Math.max(report.bandwidth().read(), report.bandwidth().update()),
                        Math::max);
    }
}
