package dev.logratio.bench;

import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;

/** The native probes over 1 GiB: divide its traffic by the time for bytes a second. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class BandwidthBenchmark {
    private static final long BYTES = 1L << 30;

    /** READ, COPY or UPDATE. */
    @Param({"READ", "COPY", "UPDATE"})
    public String kind;

    private Arena arena;
    private MemorySegment source;
    private MemorySegment destination;
    private Bandwidth probe;

    /** Allocates the memory. */
    @Setup(Level.Trial)
    public void open() {
        arena = Arena.ofShared();
        source = arena.allocate(BYTES, Long.BYTES);
        destination = arena.allocate(BYTES, Long.BYTES);
        probe = Bandwidth.valueOf(kind);
    }

    /**
     * One probe.
     *
     * @return its own time in seconds
     */
    @Benchmark
    public double probe() {
        return probe.seconds(source, destination);
    }

    /** Frees the memory. */
    @TearDown
    public void close() {
        arena.close();
    }
}
