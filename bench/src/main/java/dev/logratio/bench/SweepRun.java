package dev.logratio.bench;

import dev.logratio.DType;
import dev.logratio.bench.report.Machine;
import dev.logratio.bench.report.SweepReport;
import dev.logratio.bench.report.SweepReport.Curve;
import dev.logratio.bench.report.SweepReport.Point;
import dev.logratio.bench.report.SweepReport.Small;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;

/**
 * Small calls, and the speed by the number of rows and by their length. Every round times every
 * point once, and the fastest round counts: what else runs on the machine slows a round, and would
 * look like a dip of the curve.
 */
final class SweepRun {
    private static final int MOST_ROWS = 65_536;
    private static final int COLUMNS = 4096;
    private static final int LONGEST = 262_144;

    /** F32 and BF16 logits of all rows, their outputs, and some room. */
    private static final int BYTES_PER_ELEMENT = 10;

    private static final int ROUNDS = 7;
    private static final long SHORTEST_NANOS = 4_000_000;
    private static final long USUAL_LAST_CACHE = 64 << 20;

    private final Progress progress;
    private final int mostRows;

    SweepRun(Progress progress) {
        this.progress = progress;
        long fitting = SystemFiles.availableMemory() / BYTES_PER_ELEMENT / COLUMNS;
        mostRows = (int) Math.clamp(Long.highestOneBit(fitting), LONGEST / COLUMNS, MOST_ROWS);
    }

    static int steps() {
        return ROUNDS + 2;
    }

    SweepReport run() {
        try (Arena arena = Arena.ofShared()) {
            long elements = (long) mostRows * COLUMNS;
            SweepRows f32 = rows(arena, DType.F32, elements);
            SweepRows bf16 = rows(arena, DType.BF16, elements);
            progress.begin("small calls");
            List<Small> small = SmallCalls.measure(f32);
            progress.finished("");
            List<Line> lines = new ArrayList<>();
            for (boolean byRows : new boolean[] {true, false}) {
                lines.add(line("f32 forward", 4, byRows, f32::forward));
                lines.add(line("bf16 forward", 2, byRows, bf16::forward));
                lines.add(line("f32 forward + backward in place", 12, byRows, f32::both));
            }
            lines.add(line("read probe", 4, true, (rows, columns) -> probe(f32, rows)));
            measure(lines);
            return new SweepReport(
                    Machine.current(SystemFiles.device()),
                    SystemFiles.cache(3, USUAL_LAST_CACHE),
                    small,
                    lines.getLast().curve(),
                    lines.subList(0, 3).stream().map(Line::curve).toList(),
                    lines.subList(3, 6).stream().map(Line::curve).toList());
        }
    }

    private SweepRows rows(Arena arena, DType dtype, long elements) {
        long most = bytesByColumns() / dtype.bytes() / SweepRows.SHORTEST;
        return new SweepRows(arena, dtype, elements, (int) most);
    }

    /** What rows of any length add up to: all BF16 logits, or half of the F32 ones. */
    private long bytesByColumns() {
        return (long) mostRows * COLUMNS * DType.BF16.bytes();
    }

    private static Runnable probe(SweepRows rows, int count) {
        MemorySegment memory = rows.memory(count, COLUMNS);
        return () -> Bandwidth.READ.seconds(memory);
    }

    /** Makes an operation on so many rows and columns. */
    @FunctionalInterface
    private interface Operation {
        Runnable of(int rows, int columns);
    }

    /** A size, and its times as far as they are known. */
    private record Size(
            int x, double logitsBytes, double bytes, Runnable run, List<Double> seconds) {
        Point point() {
            double fastest = seconds.stream().mapToDouble(s -> s).min().orElseThrow();
            return new Point(x, logitsBytes, bytes / fastest);
        }
    }

    private record Line(String name, List<Size> sizes) {
        Curve curve() {
            return new Curve(name, sizes.stream().map(Size::point).toList());
        }
    }

    private Line line(String name, int bytesMoved, boolean byRows, Operation operation) {
        int elementBytes = name.startsWith("bf16") ? DType.BF16.bytes() : DType.F32.bytes();
        IntFunction<Size> size =
                x -> {
                    int count = byRows ? x : (int) (bytesByColumns() / elementBytes / x);
                    int columns = byRows ? COLUMNS : x;
                    double elements = (double) count * columns;
                    return new Size(
                            x,
                            elementBytes * elements,
                            bytesMoved * elements,
                            operation.of(count, columns),
                            new ArrayList<>());
                };
        List<Size> sizes =
                (byRows ? steps(1, mostRows) : steps(SweepRows.SHORTEST, LONGEST))
                        .stream().map(size::apply).toList();
        return new Line(name, sizes);
    }

    /** Powers of two, and the numbers halfway between them. */
    static List<Integer> steps(int first, int last) {
        List<Integer> steps = new ArrayList<>();
        for (int step = first; step <= last; step *= 2) {
            steps.add(step);
            if (step > 1 && step < last) {
                steps.add(step + step / 2);
            }
        }
        return steps;
    }

    private void measure(List<Line> lines) {
        progress.begin("warm-up");
        List<Size> sizes = lines.stream().flatMap(line -> line.sizes.stream()).toList();
        List<Sample> samples =
                sizes.stream().map(size -> Sample.ofWarm(size.run, SHORTEST_NANOS)).toList();
        progress.finished("");
        for (int round = 1; round <= ROUNDS; round++) {
            progress.begin("sizes, round " + round);
            for (int i = 0; i < sizes.size(); i++) {
                sizes.get(i).seconds.add(samples.get(i).seconds());
            }
            progress.finished("");
        }
    }
}
