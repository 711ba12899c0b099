package dev.logratio.bench.report;

import java.util.List;

/** Made-up results. */
final class Examples {
    static final Machine MACHINE =
            new Machine("A processor", 4, 2, "avx2", "0.1.0", "25", "2026-01-02");
    static final BandwidthReport BANDWIDTH = new BandwidthReport(30e9, 28e9, 40e9);

    private Examples() {}

    /** A case that takes 100 ms for 2 GB. */
    static Measurement bounded(String name, double share, double shareBand, double times) {
        return new Measurement(
                name,
                "10 x 10",
                9,
                0.1,
                0.1 * times,
                times,
                0.5,
                share,
                shareBand,
                0.4,
                2e9,
                30e9,
                40e9);
    }

    /** A case that memory does not bound. */
    static Measurement unbounded(String name, double times) {
        return new Measurement(
                name,
                "64 pairs",
                9,
                2e-6,
                2e-6 * times,
                times,
                5.0,
                null,
                null,
                null,
                null,
                null,
                null);
    }

    static Report report(Measurement... rows) {
        return on(MACHINE, rows);
    }

    static Report on(Machine machine, Measurement... rows) {
        return new Report(machine, BANDWIDTH, 3, List.of(rows), List.of());
    }
}
