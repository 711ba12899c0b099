package dev.logratio.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * The figures of one run.
 *
 * @param machine where
 * @param bandwidth at the start of the run
 * @param alternating from the alternating loop: the figures to quote
 * @param jmh from JMH, a virtual machine a benchmark; empty where it did not run
 */
record Report(
        Machine machine,
        BandwidthReport bandwidth,
        List<Measurement> alternating,
        List<JmhRun.Score> jmh) {
    private static final String ROW = "%-66s %12s %12s %10s %9s %7s%n";

    /** Prints the roofline table of the alternating loop. */
    void print(PrintStream out) {
        out.printf(Locale.ROOT, ROW, "", "Logratio", "libtorch", "x libtorch", "of limit", "read");
        for (Measurement row : alternating) {
            out.printf(
                    Locale.ROOT,
                    ROW,
                    row.name(),
                    time(row.seconds()),
                    time(row.libtorchSeconds()),
                    String.format(Locale.ROOT, "%.1f", row.timesLibtorch()),
                    share(row.shareOfLimit()),
                    gigabytes(row.readBandwidth()));
        }
        out.printf(
                Locale.ROOT,
                "%nMedians of %d rounds or more, ratios within a round. Limit of a forward: one"
                    + " read of the logits; of forward + backward in place:%none read (js, l2, tvd,"
                    + " wasserstein1: two), then one read and write, at the bandwidths measured in"
                    + " the same round. read: GB/s of the probe. libtorch works on a%npart of a"
                    + " large input, and its time is brought to the whole by the rows.%n",
                AlternatingLoop.ROUNDS);
        alternating.forEach(row -> out.println("  " + row.name() + ": " + row.input()));
    }

    /** Writes everything as JSON. */
    void write(Path file) throws IOException {
        new ObjectMapper()
                .enable(SerializationFeature.INDENT_OUTPUT)
                .writeValue(file.toFile(), this);
    }

    static String time(double seconds) {
        return seconds < 1e-3
                ? String.format(Locale.ROOT, "%.2f us", seconds * 1e6)
                : String.format(Locale.ROOT, "%.2f ms", seconds * 1e3);
    }

    private static String share(Double share) {
        return share == null ? "-" : String.format(Locale.ROOT, "%.2f", share);
    }

    private static String gigabytes(Double bandwidth) {
        return bandwidth == null ? "-" : String.format(Locale.ROOT, "%.1f", bandwidth / 1e9);
    }
}
