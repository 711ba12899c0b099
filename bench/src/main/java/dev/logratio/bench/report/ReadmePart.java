package dev.logratio.bench.report;

import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** The few figures that the README shows, from the newest results of each instruction set. */
final class ReadmePart {
    private static final List<Row> ROWS =
            List.of(
                    new Row(
                            "`TokenLogprobs`, F32 and BF16",
                            "token_logprobs forward (f32|bf16) V=128256"),
                    new Row(
                            "and its backward in place",
                            "token_logprobs forward \\+ backward in place .* V=128256"),
                    new Row("`PreferenceStep` in place, F32 and BF16", "preference_step .*"),
                    new Row(
                            "`Divergence` and its backward in place, F32",
                            "divergence .* V=128256"),
                    new Row(
                            "`ScoringRule` and its backward in place, F32",
                            "scoring_rule .* V=128256"),
                    new Row("`PairLoss` with every gradient", "pair_loss .*"));

    private ReadmePart() {}

    /** A row of the table, over the cases whose name matches. */
    private record Row(String title, Pattern cases) {
        Row(String title, String cases) {
            this(title, Pattern.compile(cases));
        }

        /** The range of a figure over the cases; "-" where there is none. */
        String range(Report report, int decimals, Function<Measurement, Double> figure) {
            List<Double> values =
                    report.alternating().stream()
                            .filter(row -> cases.matcher(row.name()).matches())
                            .filter(row -> figure.apply(row) != null)
                            .map(figure)
                            .sorted()
                            .toList();
            if (values.isEmpty()) {
                return "-";
            }
            String first = Texts.number(decimals, values.getFirst());
            String last = Texts.number(decimals, values.getLast());
            return first.equals(last) ? first : first + " to " + last;
        }
    }

    /**
     * The table, with a paragraph above it.
     *
     * @param figure what ends the paragraph, on its line
     */
    static String of(Collection<Report> reports, String figure) {
        String where =
                reports.stream()
                        .map(Report::machine)
                        .map(
                                machine ->
                                        String.format(
                                                Locale.ROOT,
                                                "%s (%s)",
                                                machine.setting(),
                                                machine.date()))
                        .collect(Collectors.joining("; "));
        StringBuilder head = new StringBuilder("| V = 128256 |");
        StringBuilder dashes = new StringBuilder("| --- |");
        for (Report report : reports) {
            String set = report.machine().instructionSet();
            head.append(" of limit, ").append(set).append(" | × libtorch, ").append(set);
            head.append(" |");
            dashes.append(" ---: | ---: |");
        }
        StringBuilder text = new StringBuilder();
        text.append(where)
                .append(". \"of limit\": the least time that memory's bandwidth allows")
                .append(" over ours, in one run.")
                .append(figure)
                .append("\n\n");
        text.append(head).append('\n').append(dashes).append('\n');
        for (Row row : ROWS) {
            text.append("| ").append(row.title).append(" |");
            for (Report report : reports) {
                text.append(' ')
                        .append(row.range(report, 2, Measurement::shareOfLimit))
                        .append(" | ")
                        .append(row.range(report, 0, Measurement::timesLibtorch))
                        .append(" |");
            }
            text.append('\n');
        }
        return text.toString();
    }
}
