package dev.logratio.bench.cuda;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;

import dev.logratio.BackendUnavailableException;
import dev.logratio.DType;
import dev.logratio.DeviceInfo;
import dev.logratio.Logratio;
import dev.logratio.cuda.CudaStream;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Times every operation on a GPU beside its memory's bandwidth, all in one run: {@code Main
 * [FILE.json [ELEMENTS]]}. Each round times the probes and the operation one after the other, with
 * events; the figures are medians over the rounds, ratios of the times within a round.
 */
public final class Main {
    private static final int[] VOCABULARIES = {1024, 32768, 128256, 151936, 262144};
    private static final int F32_VOCABULARY = 128256;

    /** 4096 rows of the vocabulary 128256: 1 GB as BF16, which no cache holds. */
    private static final long ELEMENTS = 4096L * 128256;

    private static final String ROW = "%-36s %-5s %7s %7s %10s %9s %8s %8s %8s%n";

    private Main() {}

    /**
     * A run.
     *
     * @param device what it ran on
     * @param version Logratio's
     * @param rounds of each figure
     * @param figures one an operation, dtype and vocabulary
     */
    record Report(DeviceInfo device, String version, int rounds, List<Figures> figures) {}

    /**
     * Runs all of it; the exit status is 2 where there is no GPU.
     *
     * @param args where to write the figures, if anywhere; about how many logits to work on, for a
     *     GPU with less than 8 GB of memory: vocabularies of which that is too little are left out
     * @throws IOException if they cannot be written
     */
    public static void main(String[] args) throws IOException {
        try {
            run(
                    args.length == 0 ? null : Path.of(args[0]),
                    args.length < 2 ? ELEMENTS : Long.parseLong(args[1]));
        } catch (BackendUnavailableException e) {
            System.err.println(e.getMessage());
            System.exit(2);
        }
    }

    private static void run(Path json, long elements) throws IOException {
        DeviceInfo device = Logratio.cudaDevice(0);
        System.out.println("Logratio " + Logratio.version() + " on " + device);
        System.out.printf(
                Locale.ROOT,
                ROW,
                "",
                "",
                "V",
                "rows",
                "ms",
                "GB/s",
                "of read",
                "of copy",
                "of limit");
        List<Figures> all = new ArrayList<>();
        try (CudaStream stream = CudaStream.create(0)) {
            for (int vocabulary : VOCABULARIES) {
                measure(stream, DType.BF16, elements, vocabulary, all);
            }
            measure(stream, DType.F32, elements, F32_VOCABULARY, all);
        }
        System.out.printf(
                "Medians of %d rounds. of read, of copy: the bytes that the operation has to move,"
                    + " each second, over those of the probes in the same rounds.%nof limit: the"
                    + " least time that reads, copies and updates in place at the probes' speed"
                    + " allow, over the operation's.%n",
                Rows.ROUNDS);
        if (json != null) {
            new ObjectMapper()
                    .enable(SerializationFeature.INDENT_OUTPUT)
                    .writeValue(
                            json.toFile(),
                            new Report(device, Logratio.version(), Rows.ROUNDS, all));
        }
    }

    private static void measure(
            CudaStream stream, DType dtype, long elements, int vocabulary, List<Figures> all) {
        // Half as many of twice the size; whole pairs of sequences.
        long rows =
                elements
                        * DType.BF16.bytes()
                        / dtype.bytes()
                        / vocabulary
                        / Rows.SEQUENCES
                        * Rows.SEQUENCES;
        if (rows == 0) {
            return;
        }
        try (Rows on = new Rows(stream, dtype, rows, vocabulary)) {
            for (Operation operation : Operation.all()) {
                try {
                    Figures figures = on.measure(operation);
                    all.add(figures);
                    System.out.printf(
                            Locale.ROOT,
                            ROW,
                            operation.title(),
                            dtype,
                            vocabulary,
                            rows,
                            format("%.4f", figures.milliseconds()),
                            format("%.0f", figures.gigabytesPerSecond()),
                            format("%.3f", figures.ofRead()),
                            format("%.3f", figures.ofCopy()),
                            format("%.3f", figures.ofLimit()));
                } catch (BackendUnavailableException e) {
                    System.out.println(
                            operation.title()
                                    + " "
                                    + dtype
                                    + " V="
                                    + vocabulary
                                    + ": "
                                    + e.getMessage());
                }
            }
        }
    }

    private static String format(String format, double value) {
        return String.format(Locale.ROOT, format, value);
    }
}
