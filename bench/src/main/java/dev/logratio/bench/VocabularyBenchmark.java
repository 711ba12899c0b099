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

import java.util.concurrent.TimeUnit;

/** Cases on vocabulary rows, tens of milliseconds a run; the input is restored before every one. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class VocabularyBenchmark {
    /** Name of a case; set by the runner. */
    @Param("")
    public String name;

    private Case opened;

    /** Makes the input and checks the results. */
    @Setup(Level.Trial)
    public void open() {
        opened = Cases.named(name).open();
        opened.verify();
    }

    /** Restores what a run in place has overwritten. */
    @Setup(Level.Invocation)
    public void prepare() {
        opened.prepare();
    }

    /** Logratio. */
    @Benchmark
    public void logratio() {
        opened.ours();
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
