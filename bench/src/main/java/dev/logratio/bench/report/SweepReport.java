package dev.logratio.bench.report;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonInclude.Include;

import org.knowm.xchart.internal.chartpart.IChart;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * What small work costs, and how the speed changes with the number of rows and their length.
 *
 * @param machine where
 * @param cacheBytes the last cache: a point is past it if its rows are larger
 * @param small small calls
 * @param probe the probe that reads, over the number of rows
 * @param rows curves over the number of rows
 * @param columns curves over the vocabulary
 */
public record SweepReport(
        Machine machine,
        long cacheBytes,
        List<Small> small,
        Curve probe,
        List<Curve> rows,
        List<Curve> columns)
        implements Outcome {
    /** A point farther than this below what its neighbours lead to expect is a fault. */
    public static final double ALLOWED_BELOW = 0.15;

    private static final String ROW = "%-36s %12s %12s %8s%n";

    /**
     * A small call, repeated.
     *
     * @param name what is called
     * @param seconds of a call, in the fastest round
     * @param probeSeconds of the probe that reads the same bytes in the same way; null where there
     *     are no rows
     * @param shareOfLimit the probe's time over the call's; null where there are no rows
     */
    @JsonInclude(Include.NON_NULL)
    public record Small(String name, double seconds, Double probeSeconds, Double shareOfLimit) {}

    /**
     * The speed of one operation.
     *
     * @param name what is called
     * @param points in ascending order
     */
    public record Curve(String name, List<Point> points) {
        /** The worst of the points past the last cache. */
        Optional<Trend<Point>> trend(long cacheBytes) {
            return Trend.worst(
                    points.stream().filter(point -> point.logitsBytes > cacheBytes).toList(),
                    Point::x,
                    Point::bytesPerSecond);
        }
    }

    /**
     * One size.
     *
     * @param x rows or columns
     * @param logitsBytes of all rows together
     * @param bytesPerSecond read and written, in the fastest round
     */
    public record Point(double x, double logitsBytes, double bytesPerSecond) {}

    /** Whether no point past the caches lies too far below its neighbours. */
    public boolean holds() {
        return worst().stream().allMatch(line -> line.trend.below() <= ALLOWED_BELOW);
    }

    private record Worst(String curve, String unit, Trend<Point> trend) {}

    private List<Worst> worst() {
        List<Worst> all = new ArrayList<>();
        rows.forEach(
                curve ->
                        curve.trend(cacheBytes)
                                .ifPresent(t -> all.add(new Worst(curve.name, "N", t))));
        columns.forEach(
                curve ->
                        curve.trend(cacheBytes)
                                .ifPresent(t -> all.add(new Worst(curve.name, "V", t))));
        return all;
    }

    @Override
    public void print(PrintStream out) {
        out.printf(ROW, "", "time", "probe", "of limit");
        for (Small row : small) {
            out.printf(
                    ROW,
                    row.name,
                    Texts.time(row.seconds),
                    row.probeSeconds == null ? "-" : Texts.time(row.probeSeconds),
                    Texts.number(2, row.shareOfLimit));
        }
        print(out, "N", List.of(probe));
        print(out, "N", rows);
        print(out, "V", columns);
        out.println();
        for (Worst line : worst()) {
            out.printf(
                    Locale.ROOT,
                    "%s: the worst point past the caches, %s=%.0f, lies %.1f %% %s its"
                            + " neighbours' trend (allowed %.0f %% below)%n",
                    line.curve,
                    line.unit,
                    line.trend.worst().x(),
                    Math.abs(100 * line.trend.below()),
                    line.trend.below() > 0 ? "below" : "above",
                    100 * ALLOWED_BELOW);
        }
    }

    private static void print(PrintStream out, String unit, List<Curve> curves) {
        for (Curve curve : curves) {
            out.printf("%nGB/s by %s, %s:%n", unit, curve.name);
            for (Point point : curve.points) {
                out.printf(Locale.ROOT, "%8.0f %8.2f%n", point.x, point.bytesPerSecond / 1e9);
            }
        }
    }

    @Override
    public String markdown() {
        return "# Small work and sizes\n\n" + machine + ".\n\n" + smallTable() + "\n" + trends();
    }

    /** The small calls as a Markdown table. */
    String smallTable() {
        StringBuilder text = new StringBuilder(Texts.head("call", "time", "probe", "of limit"));
        for (Small row : small) {
            text.append(
                    Texts.row(
                            row.name,
                            Texts.time(row.seconds),
                            row.probeSeconds == null ? "-" : Texts.time(row.probeSeconds),
                            Texts.number(2, row.shareOfLimit)));
        }
        return text.toString();
    }

    /** The worst points as a Markdown table. */
    String trends() {
        StringBuilder text =
                new StringBuilder(
                        Texts.head("curve", "worst point past the caches", "below the trend"));
        for (Worst line : worst()) {
            text.append(
                    Texts.row(
                            line.curve,
                            String.format(
                                    Locale.ROOT, "%s = %.0f", line.unit, line.trend.worst().x()),
                            String.format(Locale.ROOT, "%.1f %%", 100 * line.trend.below())));
        }
        return text.toString();
    }

    @Override
    public List<IChart> charts() {
        return SweepChart.of(this);
    }
}
