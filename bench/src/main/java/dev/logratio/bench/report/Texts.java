package dev.logratio.bench.report;

import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** How figures are written. */
final class Texts {
    private Texts() {}

    static String time(double seconds) {
        return seconds < 1e-3
                ? String.format(Locale.ROOT, "%.2f us", seconds * 1e6)
                : String.format(Locale.ROOT, "%.2f ms", seconds * 1e3);
    }

    /** "-" for null. */
    static String number(int decimals, Double value) {
        return value == null ? "-" : String.format(Locale.ROOT, "%." + decimals + "f", value);
    }

    /** In GB/s; "-" for null. */
    static String gigabytes(Double bandwidth) {
        return number(1, bandwidth == null ? null : bandwidth / 1e9);
    }

    /** A row of a Markdown table. */
    static String row(String... cells) {
        return Stream.of(cells).collect(Collectors.joining(" | ", "| ", " |\n"));
    }

    /** The head of a Markdown table: the first column is text, the others are numbers. */
    static String head(String... titles) {
        String[] lines = titles.clone();
        for (int i = 0; i < lines.length; i++) {
            lines[i] = i == 0 ? "---" : "---:";
        }
        return row(titles) + row(lines);
    }
}
