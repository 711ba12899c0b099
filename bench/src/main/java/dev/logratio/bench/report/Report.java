package dev.logratio.bench.report;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonInclude.Include;

import org.knowm.xchart.internal.chartpart.IChart;

import java.io.PrintStream;
import java.util.List;
import java.util.Locale;

/**
 * The figures of one run over the cases.
 *
 * @param machine where
 * @param bandwidth at the start of the run
 * @param repeats how often every case was measured, on fresh memory; null in files older than that
 * @param alternating from the alternating loop: the figures to quote
 * @param jmh from JMH, a virtual machine a benchmark; empty where it did not run
 */
@JsonInclude(Include.NON_NULL)
public record Report(
        Machine machine,
        BandwidthReport bandwidth,
        Integer repeats,
        List<Measurement> alternating,
        List<JmhScore> jmh)
        implements Outcome {
    private static final int ROUNDS = 7;
    private static final String ROW = "%-66s %12s %12s %10s %9s %7s%n";
    private static final String NOISE_ROW = "%-66s %16s %9s %11s%n";

    private static final String EXPLANATION =
            """
            Medians over all rounds; ratios are taken within a round. "of limit" is the least time
            that memory allows over ours, "of cached speed" the time of the same work on rows that
            stay in the cache over ours: near 1, arithmetic is what takes the time. "±" is the
            noise band of the ratio before it, the width of its 95 % bootstrap interval over repeats
            and rounds. "GB/s" counts the bytes that have to be read and written.
            """;

    /** Prints the roofline table, and how sure its ratios are. */
    @Override
    public void print(PrintStream out) {
        out.printf(Locale.ROOT, ROW, "", "Logratio", "libtorch", "x libtorch", "of limit", "read");
        for (Measurement row : alternating) {
            out.printf(
                    Locale.ROOT,
                    ROW,
                    row.name(),
                    Texts.time(row.seconds()),
                    Texts.time(row.libtorchSeconds()),
                    Texts.number(1, row.timesLibtorch()),
                    Texts.number(2, row.shareOfLimit()),
                    Texts.gigabytes(row.readBandwidth()));
        }
        out.printf(
                Locale.ROOT,
                "%nMedians of %d rounds or more, ratios within a round. Limit of a forward: one"
                    + " read of the logits; of forward + backward in place:%none read (js, l2, tvd,"
                    + " wasserstein1: two), then one read and write, at the bandwidths measured in"
                    + " the same round. read: GB/s of the probe. libtorch works on a%npart of a"
                    + " large input, and its time is brought to the whole by the rows.%n",
                ROUNDS);
        alternating.forEach(row -> out.println("  " + row.name() + ": " + row.input()));
        printNoise(out);
    }

    private void printNoise(PrintStream out) {
        out.printf(Locale.ROOT, "%n" + NOISE_ROW, "", "of cached speed", "+- limit", "+- libtorch");
        for (Measurement row : alternating) {
            out.printf(
                    Locale.ROOT,
                    NOISE_ROW,
                    row.name(),
                    Texts.number(2, row.shareOfCachedSpeed()),
                    Texts.number(3, row.shareOfLimitBand()),
                    Texts.number(2, row.timesLibtorchBand()));
        }
        out.printf(
                "of cached speed: the time of the same work on rows that stay in the cache over the"
                        + " time above; near 1, arithmetic is what takes it.%n+-: by how much the"
                        + " ratios of %d repeats differ, which --against allows.%n",
                repeats);
    }

    @Override
    public String markdown() {
        StringBuilder text = new StringBuilder();
        text.append("# Logratio ").append(machine.version()).append(" beside libtorch\n\n");
        text.append(machine).append(". ").append(sentence(bandwidth)).append("\n\n");
        text.append(
                Texts.head(
                        "case",
                        "Logratio",
                        "libtorch",
                        "× libtorch",
                        "±",
                        "of limit",
                        "±",
                        "of cached speed",
                        "GB/s"));
        for (Measurement row : alternating) {
            text.append(
                    Texts.row(
                            row.name(),
                            Texts.time(row.seconds()),
                            Texts.time(row.libtorchSeconds()),
                            Texts.number(1, row.timesLibtorch()),
                            Texts.number(2, row.timesLibtorchBand()),
                            Texts.number(2, row.shareOfLimit()),
                            Texts.number(3, row.shareOfLimitBand()),
                            Texts.number(2, row.shareOfCachedSpeed()),
                            Texts.gigabytes(row.reached())));
        }
        return text.append('\n').append(EXPLANATION).toString();
    }

    private static String sentence(BandwidthReport bandwidth) {
        String text = bandwidth.toString();
        return Character.toUpperCase(text.charAt(0)) + text.substring(1) + ".";
    }

    @Override
    public List<IChart> charts() {
        return RooflineChart.of(this);
    }
}
