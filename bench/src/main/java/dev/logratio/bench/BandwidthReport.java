package dev.logratio.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;

/**
 * Bandwidth of the machine at the start of a run, medians of alternating probes.
 *
 * @param read bytes read a second
 * @param copy bytes read and written a second
 * @param update bytes read and rewritten in place a second
 */
record BandwidthReport(double read, double copy, double update) {
    private static final long BYTES = 1L << 29;

    static BandwidthReport measure() {
        try (Arena arena = Arena.ofShared()) {
            MemorySegment source = arena.allocate(BYTES, Long.BYTES);
            MemorySegment destination = arena.allocate(BYTES, Long.BYTES);
            Bandwidth[] kinds = Bandwidth.values();
            double[][] seconds = new double[kinds.length][AlternatingLoop.ROUNDS];
            for (int round = 0; round < AlternatingLoop.ROUNDS; round++) {
                for (Bandwidth kind : kinds) {
                    seconds[kind.ordinal()][round] = kind.seconds(source, destination);
                }
            }
            return new BandwidthReport(
                    median(Bandwidth.READ, seconds),
                    median(Bandwidth.COPY, seconds),
                    median(Bandwidth.UPDATE, seconds));
        }
    }

    private static double median(Bandwidth kind, double[][] seconds) {
        return kind.traffic(BYTES)
                / Median.of(AlternatingLoop.ROUNDS, round -> seconds[kind.ordinal()][round]);
    }

    @Override
    public String toString() {
        return String.format(
                Locale.ROOT,
                "memory: read %.1f, copy %.1f, update in place %.1f GB/s (a read and a write count"
                        + " 1 byte each)",
                read / 1e9,
                copy / 1e9,
                update / 1e9);
    }
}
