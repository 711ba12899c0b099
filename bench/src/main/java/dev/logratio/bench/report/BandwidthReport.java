package dev.logratio.bench.report;

import java.util.Locale;

/**
 * Bandwidth of the machine at the start of a run, medians of alternating probes.
 *
 * @param read bytes read a second
 * @param copy bytes read and written a second
 * @param update bytes read and rewritten in place a second
 */
public record BandwidthReport(double read, double copy, double update) {
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
