package dev.logratio.bench.report;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonInclude.Include;

import org.knowm.xchart.internal.chartpart.IChart;

import java.io.PrintStream;
import java.util.List;
import java.util.Locale;

/**
 * linear_preference_step with each of its plans, beside plain products of the same library and
 * beside libtorch; ratios are medians of those within a round.
 *
 * @param machine where
 * @param gemm the library that makes the products
 * @param pairs of sequences
 * @param tokens of each sequence
 * @param size of a hidden state
 * @param columns the vocabulary
 * @param rows the figures
 */
public record LinearReport(
        Machine machine, String gemm, int pairs, int tokens, int size, int columns, List<Row> rows)
        implements Outcome {
    private static final String ROW = "%-5s %-36s %10s %14s %12s %12s %8s %10s%n";

    /**
     * One way to run it.
     *
     * @param dtype of hidden states and weight
     * @param name what is run
     * @param seconds the median
     * @param overProducts over the time of as many operations in plain products
     * @param overLibtorch over matmul, log_softmax and backward in libtorch
     * @param overTrained over a trained weight
     * @param operations of all products, over M*H*V; null for what is not ours
     * @param megabytes by how much it makes the process larger; null for plain products
     */
    @JsonInclude(Include.NON_NULL)
    public record Row(
            String dtype,
            String name,
            double seconds,
            double overProducts,
            double overLibtorch,
            double overTrained,
            Double operations,
            Double megabytes) {}

    @Override
    public void print(PrintStream out) {
        out.printf(
                Locale.ROOT,
                "linear_preference_step, %d pairs x 2 x %d tokens, H = %d, V = %d; products by"
                        + " %s%n",
                pairs,
                tokens,
                size,
                columns,
                gemm);
        out.printf(ROW, "", "", "time", "/ products", "/ libtorch", "/ trained", "MHV", "MB more");
        for (Row row : rows) {
            out.printf(
                    ROW,
                    row.dtype,
                    row.name,
                    Texts.time(row.seconds),
                    Texts.number(2, row.overProducts),
                    Texts.number(2, row.overLibtorch),
                    Texts.number(2, row.overTrained),
                    Texts.number(2, row.operations),
                    Texts.number(0, row.megabytes));
        }
    }

    @Override
    public String markdown() {
        return "# Fused linear\n\n" + machine + ".\n\n" + table();
    }

    /** The figures as a Markdown table, with what they were taken on. */
    String table() {
        StringBuilder text = new StringBuilder();
        text.append(
                Texts.head(
                        String.format(
                                Locale.ROOT,
                                "%d pairs x 2 x %d tokens, H = %d, V = %d; products by %s",
                                pairs,
                                tokens,
                                size,
                                columns,
                                gemm),
                        "time",
                        "over its products alone",
                        "over libtorch",
                        "over a trained weight",
                        "operations / MHV",
                        "memory, MB"));
        for (Row row : rows) {
            text.append(
                    Texts.row(
                            row.dtype + ", " + row.name,
                            Texts.time(row.seconds),
                            Texts.number(2, row.overProducts),
                            Texts.number(2, row.overLibtorch),
                            Texts.number(2, row.overTrained),
                            Texts.number(2, row.operations),
                            Texts.number(0, row.megabytes)));
        }
        return text.toString();
    }

    @Override
    public List<IChart> charts() {
        return List.of();
    }
}
