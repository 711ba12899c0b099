package dev.logratio.bench;

import dev.logratio.bench.report.SweepReport.Small;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Calls on so little that their fixed cost counts, repeated on the same rows, so that these stay in
 * the cache; so does what the probe beside each reads, called from Java as the operation is. The
 * fastest round counts: one that waits for another thread's turn takes many times as long.
 */
final class SmallCalls {
    private static final int ROUNDS = 9;
    private static final long SAMPLE_NANOS = 20_000_000;
    private static final int[] ROWS = {1, 8, 64};
    private static final int[] COLUMNS = {512, 4096};
    private static final int LONG_ROW = 32_000;

    private SmallCalls() {}

    static List<Small> measure(SweepRows rows) {
        Sample.warmedUp(rows.forward(1, LONG_ROW)); // compiles what all of them call
        List<Small> all = new ArrayList<>();
        all.add(measure(rows, 1, LONG_ROW));
        for (int columns : COLUMNS) {
            for (int count : ROWS) {
                all.add(measure(rows, count, columns));
            }
        }
        all.add(onePair());
        return all;
    }

    private static Small measure(SweepRows rows, int count, int columns) {
        MemorySegment memory = rows.memory(count, columns);
        Sample probe = Sample.ofWarm(() -> Bandwidth.READ.seconds(memory), SAMPLE_NANOS);
        Sample ours = Sample.ofWarm(rows.forward(count, columns), SAMPLE_NANOS);
        double probeSeconds = Double.POSITIVE_INFINITY;
        double seconds = Double.POSITIVE_INFINITY;
        for (int round = 0; round < ROUNDS; round++) {
            probeSeconds = Math.min(probeSeconds, probe.seconds());
            seconds = Math.min(seconds, ours.seconds());
        }
        return new Small(
                "forward f32, " + count + " x " + columns,
                seconds,
                probeSeconds,
                probeSeconds / seconds);
    }

    private static Small onePair() {
        try (PairLossCase pair = new PairLossCase(1)) {
            Sample ours = Sample.warmedUp(pair::ours);
            double seconds = Double.POSITIVE_INFINITY;
            for (int round = 0; round < ROUNDS; round++) {
                seconds = Math.min(seconds, ours.seconds());
            }
            return new Small("pair_loss of 1 pair", seconds, null, null);
        }
    }
}
