package dev.logratio.cli;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PairLoss;
import dev.logratio.Tensor;
import dev.logratio.cli.file.WholeFile;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.DlrmlShape;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.Variant;

import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler.LegendLayout;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.XYStyler;
import org.knowm.xchart.style.markers.SeriesMarkers;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import javax.imageio.ImageIO;

/** Loss and gradient of dlrml over rho, beside dpo and discopop of the same beta and tau. */
final class ShapeChart {
    private static final int POINTS = 1201;

    /** Told apart with any kind of colour vision, and in print. */
    private static final List<Color> COLORS =
            List.of(new Color(0x009E73), new Color(0xE69F00), new Color(0x0072B2));

    private static final BasicStroke DASHED =
            new BasicStroke(
                    1.4f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 10, new float[] {6, 5}, 0);

    private ShapeChart() {}

    /** The losses that are drawn, by name. */
    private record Drawn(String name, Loss.Paired loss, Color color, float width) {}

    /** Writes a PNG file, whole or not at all. */
    static void write(DlrmlShape shape, Path file) throws IOException {
        System.setProperty("java.awt.headless", "true");
        // Later lines are thinner, so that one does not hide another where they coincide.
        List<Drawn> drawn =
                List.of(
                        new Drawn(
                                "dlrml",
                                new Dlrml(shape.betaKl(), shape.betaMix(), shape.tau()),
                                COLORS.get(0),
                                5),
                        new Drawn(
                                "discopop",
                                new DiscoPop(
                                        shape.betaKl(),
                                        shape.tau(),
                                        Variant.REPO,
                                        new FDivergence.ReverseKl()),
                                COLORS.get(1),
                                3),
                        new Drawn("dpo", new Sigmoid().withBeta(shape.betaKl()), COLORS.get(2), 2));
        double reach = reach(shape);
        // Closest about 0, where most happens. (XChart puts ticks at round numbers unless all
        // points are equally far apart.)
        double[] rho =
                IntStream.range(0, POINTS)
                        .mapToDouble(i -> 2.0 * i / (POINTS - 1) - 1)
                        .map(x -> x * Math.abs(x) * reach)
                        .toArray();
        XYChart losses = chart("Loss", "loss of a pair");
        XYChart gradients = chart("Gradient", "d loss / d rho");
        for (Drawn each : drawn) {
            double[][] values = evaluate(each.loss, rho);
            BasicStroke stroke = new BasicStroke(each.width);
            line(losses, each.name, rho, values[0], each.color, stroke);
            line(gradients, each.name, rho, values[1], each.color, stroke);
        }
        mark(shape, losses);
        line(gradients, "0", new double[] {-reach, reach}, new double[2], Color.GRAY, DASHED);
        ByteArrayOutputStream png = new ByteArrayOutputStream();
        ImageIO.setUseCache(false); // which would be a file in a folder that may be full
        BitmapEncoder.saveBitmap(List.of(losses, gradients), 1, 2, png, BitmapFormat.PNG);
        try (WholeFile out = WholeFile.create(file)) {
            out.write(ByteBuffer.wrap(png.toByteArray()));
            out.finish();
        }
    }

    /** So far that the stationary points of dlrml and of discopop are in the picture. */
    private static double reach(DlrmlShape shape) {
        DlrmlShape discoPop = DlrmlShape.of(shape.betaKl(), shape.betaKl(), shape.tau());
        double farthest =
                Stream.of(shape.minimum(), shape.maximum(), discoPop.minimum(), discoPop.maximum())
                        .flatMap(point -> point.stream())
                        .mapToDouble(point -> Math.abs(point.rho()))
                        .max()
                        .orElse(
                                4
                                        * shape.tau()
                                        / Math.max(Math.abs(shape.betaMix()), shape.betaKl()));
        return 2.5 * farthest;
    }

    private static double[][] evaluate(Loss.Paired loss, double[] rho) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor zero = Tensor.zeros(arena, DType.F64, rho.length);
            Tensor value = Tensor.zeros(arena, DType.F64, rho.length);
            Tensor slope = Tensor.zeros(arena, DType.F64, rho.length);
            PairLoss.of(loss, Tensor.of(arena, DType.F64, rho, rho.length), zero)
                    .gradLoss(Tensor.zeros(arena, DType.F64, rho.length).fill(1))
                    .referenceFree()
                    .losses(value)
                    .gradPolicy(slope, null)
                    .run(Backend.reference());
            return new double[][] {value.toDoubles(), slope.toDoubles()};
        }
    }

    private static void mark(DlrmlShape shape, XYChart losses) {
        List<DlrmlShape.Point> points = new ArrayList<>();
        shape.minimum().ifPresent(points::add);
        shape.maximum().ifPresent(points::add);
        if (!points.isEmpty()) {
            double[] x = points.stream().mapToDouble(DlrmlShape.Point::rho).toArray();
            double[] y = points.stream().mapToDouble(DlrmlShape.Point::loss).toArray();
            XYSeries series =
                    line(losses, "minimum and maximum", x, y, Color.DARK_GRAY, new BasicStroke(0));
            series.setMarker(SeriesMarkers.CIRCLE)
                    .setMarkerColor(Color.DARK_GRAY)
                    .setLineColor(new Color(0, true));
        }
    }

    private static XYChart chart(String title, String yTitle) {
        XYChart chart =
                new XYChartBuilder()
                        .width(1000)
                        .height(720)
                        .title(title)
                        .xAxisTitle("rho")
                        .yAxisTitle(yTitle)
                        .build();
        Font plain = new Font(Font.SANS_SERIF, Font.PLAIN, 17);
        XYStyler style = chart.getStyler();
        style.setChartBackgroundColor(Color.WHITE).setChartPadding(16);
        style.setChartTitleFont(new Font(Font.SANS_SERIF, Font.BOLD, 20));
        style.setPlotBorderVisible(false);
        style.setPlotGridLinesColor(new Color(0xE0E0E0)).setPlotGridLinesStroke(new BasicStroke(1));
        style.setAxisTicksMarksVisible(false).setAxisTickLabelsFont(plain).setAxisTitleFont(plain);
        style.setDecimalPattern("0.###");
        style.setLegendFont(plain)
                .setLegendBorderColor(Color.WHITE)
                .setLegendPosition(LegendPosition.OutsideS);
        style.setLegendLayout(LegendLayout.Horizontal);
        return chart;
    }

    private static XYSeries line(
            XYChart chart, String name, double[] x, double[] y, Color color, BasicStroke stroke) {
        XYSeries series = chart.addSeries(name, x, y);
        series.setMarker(SeriesMarkers.NONE).setLineColor(color).setLineStyle(stroke);
        return series;
    }
}
