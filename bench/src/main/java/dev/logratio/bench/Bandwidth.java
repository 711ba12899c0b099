package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.bench.report.BandwidthReport;
import dev.logratio.bench.report.Median;
import dev.logratio.bindings.logratio_h;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The native library's plainest kernels, on as many threads as the operations use. */
enum Bandwidth {
    READ(logratio_h.LR_BANDWIDTH_READ(), 1),
    COPY(logratio_h.LR_BANDWIDTH_COPY(), 2),
    UPDATE(logratio_h.LR_BANDWIDTH_UPDATE(), 2);

    private static final long REPORTED_BYTES = 1L << 29;

    private final int kind;
    private final int passes;

    Bandwidth(int kind, int passes) {
        this.kind = kind;
        this.passes = passes;
    }

    /** Seconds of one probe that needs no destination. */
    double seconds(MemorySegment memory) {
        return seconds(memory, MemorySegment.NULL);
    }

    /** Seconds of one probe over the source; the destination is written by {@link #COPY} alone. */
    double seconds(MemorySegment source, MemorySegment destination) {
        Backend.cpu(); // loads the library
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment seconds = arena.allocate(ValueLayout.JAVA_DOUBLE);
            Native.check(
                    logratio_h.lr_bandwidth_probe(
                            kind, source, destination, source.byteSize(), seconds));
            return seconds.get(ValueLayout.JAVA_DOUBLE, 0);
        }
    }

    /** What memory gives now, each kind of probe in turn. */
    static BandwidthReport measure() {
        try (Arena arena = Arena.ofShared()) {
            MemorySegment source = arena.allocate(REPORTED_BYTES, Long.BYTES);
            MemorySegment destination = arena.allocate(REPORTED_BYTES, Long.BYTES);
            double[][] seconds = new double[values().length][AlternatingLoop.ROUNDS];
            for (int round = 0; round < AlternatingLoop.ROUNDS; round++) {
                for (Bandwidth probe : values()) {
                    seconds[probe.ordinal()][round] = probe.seconds(source, destination);
                }
            }
            return new BandwidthReport(
                    READ.traffic(REPORTED_BYTES) / Median.of(seconds[READ.ordinal()]),
                    COPY.traffic(REPORTED_BYTES) / Median.of(seconds[COPY.ordinal()]),
                    UPDATE.traffic(REPORTED_BYTES) / Median.of(seconds[UPDATE.ordinal()]));
        }
    }

    /** Bytes moved in a probe over so many bytes, counting a read and a write each once. */
    long traffic(long bytes) {
        return passes * bytes;
    }
}
