package dev.logratio.trainers.quickstart;

import dev.logratio.loss.DlrmlShape.Point;

import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.XYSeries.XYSeriesRenderStyle;
import org.knowm.xchart.style.Styler.LegendLayout;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.XYStyler;
import org.knowm.xchart.style.markers.SeriesMarkers;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/** The curves of a set of runs, as PNG files. */
final class Charts {
    /** Blue, orange, green, purple: told apart with any kind of colour vision, and in print. */
    private static final Color[] COLORS = {
        new Color(0x0072B2), new Color(0xE69F00), new Color(0x009E73), new Color(0xCC79A7)
    };

    private static final Color GRID = new Color(0xE0E0E0);
    private static final BasicStroke LINE = new BasicStroke(2.2f);
    private static final BasicStroke DASHED =
            new BasicStroke(
                    1.6f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 10, new float[] {7, 5}, 0);
    private static final int DPI = 144;

    /** Half the number of steps that a plotted point averages. */
    private static final int SMOOTHING = 4;

    private Charts() {}

    /** Draws every chart into the folder and returns the files. */
    static List<Path> write(Path folder, List<RunResult> runs) throws IOException {
        System.setProperty("java.awt.headless", "true");
        Files.createDirectories(folder);
        List<Path> files = new ArrayList<>();
        files.add(
                save(
                        folder.resolve("loss.png"),
                        curves("Loss", "loss, mean of the batch", runs, StepRecord::loss)));
        files.add(
                save(
                        folder.resolve("margin.png"),
                        curves(
                                "Reward margin",
                                "reward margin, mean of the batch",
                                runs,
                                StepRecord::margin)));
        XYChart accuracy =
                curves(
                        "Reward accuracy",
                        "share of the batch with rho > 0",
                        runs,
                        StepRecord::accuracy);
        accuracy.getStyler().setYAxisMin(-0.02).setYAxisMax(1.02);
        files.add(save(folder.resolve("accuracy.png"), accuracy));
        for (RunResult run : runs) {
            files.add(
                    save(
                            folder.resolve(
                                    "rho-"
                                            + run.name()
                                                    .replaceAll("[^a-z0-9.]+", "-")
                                                    .replaceAll("^-|-$", "")
                                            + ".png"),
                            histogram(run, COLORS[runs.indexOf(run) % COLORS.length])));
        }
        return files;
    }

    private static XYChart chart(String title, String xTitle, String yTitle) {
        XYChart chart =
                new XYChartBuilder()
                        .width(900)
                        .height(520)
                        .title(title)
                        .xAxisTitle(xTitle)
                        .yAxisTitle(yTitle)
                        .build();
        Font plain = new Font(Font.SANS_SERIF, Font.PLAIN, 13);
        XYStyler style = chart.getStyler();
        style.setChartBackgroundColor(Color.WHITE).setChartPadding(14);
        style.setChartTitleFont(new Font(Font.SANS_SERIF, Font.BOLD, 16));
        style.setPlotBorderVisible(false);
        style.setPlotGridLinesColor(GRID).setPlotGridLinesStroke(new BasicStroke(1));
        style.setAxisTicksMarksVisible(false).setAxisTickLabelsFont(plain).setAxisTitleFont(plain);
        style.setDecimalPattern("0.###");
        style.setLegendFont(plain)
                .setLegendBorderColor(Color.WHITE)
                .setLegendPosition(LegendPosition.OutsideS);
        style.setLegendLayout(LegendLayout.Horizontal);
        style.setDefaultSeriesRenderStyle(XYSeriesRenderStyle.Line);
        return chart;
    }

    private static XYChart curves(
            String title, String yTitle, List<RunResult> runs, ToDoubleFunction<StepRecord> value) {
        XYChart chart = chart(title + " on training pairs", "step", yTitle);
        for (int i = 0; i < runs.size(); i++) {
            double[] y = smooth(runs.get(i).steps().stream().mapToDouble(value).toArray());
            // The mean step of what a point averages. (Ticks at round numbers need this too: XChart
            // puts ticks on the points where all of them
            // are equally far apart.)
            double[] x = smooth(IntStream.rangeClosed(1, y.length).asDoubleStream().toArray());
            // Later lines are thinner, so that one does not hide another where they coincide.
            line(
                    chart,
                    runs.get(i).name(),
                    x,
                    y,
                    COLORS[i % COLORS.length],
                    new BasicStroke(1.8f + 0.8f * (runs.size() - 1 - i)));
        }
        return chart;
    }

    private static XYSeries line(
            XYChart chart, String name, double[] x, double[] y, Color color, BasicStroke stroke) {
        XYSeries series = chart.addSeries(name, x, y);
        series.setMarker(SeriesMarkers.NONE).setLineColor(color).setLineStyle(stroke);
        return series;
    }

    /** A running mean; non-finite values are left as gaps, where they belong. */
    private static double[] smooth(double[] values) {
        double[] smoothed = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            smoothed[i] =
                    Arrays.stream(
                                    values,
                                    Math.max(0, i - SMOOTHING),
                                    Math.min(values.length, i + SMOOTHING + 1))
                            .average()
                            .orElseThrow();
        }
        return smoothed;
    }

    private static XYChart histogram(RunResult run, Color color) {
        double[] training = finite(run.trainingRho());
        double[] heldOut = finite(run.heldOut().rho());
        double low = Math.min(0, Math.min(min(training), min(heldOut)));
        double high = Math.max(0, Math.max(max(training), max(heldOut)));
        Bins bins =
                Bins.over(
                        Math.min(low, run.minimum().map(Point::rho).orElse(low)),
                        Math.max(high, run.maximum().map(Point::rho).orElse(high)));
        XYChart chart =
                chart(
                        "rho at the end of " + run.name(),
                        "rho (log-ratio of chosen over rejected, policy against reference)",
                        "share of pairs");
        double[] trainingShares = bins.shares(training);
        double[] heldOutShares = bins.shares(heldOut);
        XYSeries filled =
                line(
                        chart,
                        "training pairs",
                        bins.outlineX(),
                        bins.outlineY(trainingShares),
                        color,
                        LINE);
        filled.setXYSeriesRenderStyle(XYSeriesRenderStyle.Area)
                .setFillColor(new Color(color.getRed(), color.getGreen(), color.getBlue(), 70));
        line(
                chart,
                "held-out pairs",
                bins.outlineX(),
                bins.outlineY(heldOutShares),
                Color.DARK_GRAY,
                new BasicStroke(1.6f));
        double top = 1.05 * Math.max(max(trainingShares), max(heldOutShares));
        mark(chart, "start of training", 0, top, new Color(0x8FB8DE));
        run.minimum()
                .ifPresent(
                        point ->
                                mark(
                                        chart,
                                        "local minimum %.3f".formatted(point.rho()),
                                        point.rho(),
                                        top,
                                        new Color(0xC00000)));
        run.maximum()
                .ifPresent(
                        point ->
                                mark(
                                        chart,
                                        "local maximum %.3f".formatted(point.rho()),
                                        point.rho(),
                                        top,
                                        Color.GRAY));
        chart.getStyler().setYAxisMin(0.0).setYAxisMax(top);
        return chart;
    }

    private static void mark(XYChart chart, String name, double rho, double top, Color color) {
        line(chart, name, new double[] {rho, rho}, new double[] {0, top}, color, DASHED);
    }

    private static double[] finite(double[] values) {
        return Arrays.stream(values).filter(Double::isFinite).toArray();
    }

    private static double min(double[] values) {
        return Arrays.stream(values).min().orElse(0);
    }

    private static double max(double[] values) {
        return Arrays.stream(values).max().orElse(0);
    }

    /** Equal cells over a range. */
    private record Bins(double low, double width, int count) {
        private static final int COUNT = 60;

        static Bins over(double low, double high) {
            double margin = Math.max(1e-3, 0.04 * (high - low));
            return new Bins(low - margin, (high - low + 2 * margin) / COUNT, COUNT);
        }

        double[] shares(double[] values) {
            double[] shares = new double[count];
            for (double value : values) {
                shares[Math.clamp((int) ((value - low) / width), 0, count - 1)] +=
                        1.0 / values.length;
            }
            return shares;
        }

        /** Corners of the steps, so that a line draws a histogram. */
        double[] outlineX() {
            double[] x = new double[2 * count];
            Arrays.setAll(x, i -> low + width * ((i + 1) / 2));
            return x;
        }

        double[] outlineY(double[] shares) {
            double[] y = new double[2 * count];
            Arrays.setAll(y, i -> shares[i / 2]);
            return y;
        }
    }

    private static Path save(Path file, XYChart chart) throws IOException {
        BitmapEncoder.saveBitmapWithDPI(chart, file.toString(), BitmapFormat.PNG, DPI);
        return file;
    }
}
