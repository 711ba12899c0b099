package dev.logratio.bench;

import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

import java.util.concurrent.TimeUnit;

/** The pair loss, a few microseconds a run. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class PairBenchmark {
    private PairLossCase opened;

    /** Makes the input and checks the results. */
    @Setup(Level.Trial)
    public void open() {
        opened = new PairLossCase(Cases.PAIRS);
        opened.verify();
    }

    /** Logratio through its Java interface. */
    @Benchmark
    public void logratio() {
        opened.ours();
    }

    /** The same call, prepared. */
    @Benchmark
    public void logratioPrepared() {
        opened.prepared();
    }

    /** Logratio through its C function. */
    @Benchmark
    public void logratioC() {
        opened.throughC();
    }

    /** libtorch. */
    @Benchmark
    public void libtorch() {
        opened.libtorch();
    }

    /** Frees the input. */
    @TearDown
    public void close() {
        opened.close();
    }
}
