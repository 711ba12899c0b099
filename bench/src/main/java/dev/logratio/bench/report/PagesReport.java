package dev.logratio.bench.report;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonInclude.Include;

import org.knowm.xchart.internal.chartpart.IChart;

import java.io.PrintStream;
import java.util.List;
import java.util.Locale;

/**
 * What huge pages gain, and what the first touch of memory costs; ratios are medians of those
 * within a round.
 *
 * @param machine where
 * @param setting when this system gives huge pages: always, madvise or never
 * @param input the logits in words
 * @param hugeShare how much of the memory that asked for huge pages has them
 * @param rows the figures
 */
public record PagesReport(
        Machine machine, String setting, String input, double hugeShare, List<Row> rows)
        implements Outcome {
    private static final String ROW = "%-46s %12s %12s %10s %14s %14s%n";

    /**
     * One operation on small and on huge pages.
     *
     * @param name what is run
     * @param smallSeconds on pages of the usual size
     * @param hugeSeconds on huge pages
     * @param gain the first over the second
     * @param smallOverInPlace of a backward: its time over that of the one in place, on small pages
     * @param hugeOverInPlace the same on huge pages
     */
    @JsonInclude(Include.NON_NULL)
    public record Row(
            String name,
            double smallSeconds,
            double hugeSeconds,
            double gain,
            Double smallOverInPlace,
            Double hugeOverInPlace) {}

    @Override
    public void print(PrintStream out) {
        out.printf(
                Locale.ROOT,
                "%s; transparent huge pages: %s; %.0f %% of the memory that asked for them has"
                        + " them%n",
                input,
                setting,
                100 * hugeShare);
        out.printf(ROW, "", "small pages", "huge pages", "gain", "small/in place", "huge/in place");
        for (Row row : rows) {
            out.printf(
                    ROW,
                    row.name,
                    Texts.time(row.smallSeconds),
                    Texts.time(row.hugeSeconds),
                    Texts.number(2, row.gain),
                    Texts.number(2, row.smallOverInPlace),
                    Texts.number(2, row.hugeOverInPlace));
        }
    }

    @Override
    public String markdown() {
        return "# Huge pages and first touch\n\n" + machine + ".\n\n" + table();
    }

    /** The figures as a Markdown table, with what they were taken on. */
    String table() {
        StringBuilder text = new StringBuilder();
        text.append(
                Texts.head(
                        "operation on " + input,
                        "small pages",
                        "huge pages",
                        "gain",
                        "over in place, small",
                        "over in place, huge"));
        for (Row row : rows) {
            text.append(
                    Texts.row(
                            row.name,
                            Texts.time(row.smallSeconds),
                            Texts.time(row.hugeSeconds),
                            Texts.number(2, row.gain),
                            Texts.number(2, row.smallOverInPlace),
                            Texts.number(2, row.hugeOverInPlace)));
        }
        return text.toString();
    }

    @Override
    public List<IChart> charts() {
        return List.of();
    }
}
