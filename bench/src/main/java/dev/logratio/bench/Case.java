package dev.logratio.bench;

import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * One operation on one input, by Logratio and by libtorch. Not thread-safe; closing frees the
 * input.
 */
interface Case extends AutoCloseable {
    /** The input in words, for reports. */
    String input();

    /** Restores the input if a run overwrites it; never timed. */
    default void prepare() {}

    /** Runs Logratio's implementation once. */
    void ours();

    /**
     * Runs libtorch's implementation once, on the first of {@link #libtorchParts()} equal parts of
     * the same memory.
     */
    void libtorch();

    /** How many times the work of {@link #libtorch()} makes that of {@link #ours()}. */
    default int libtorchParts() {
        return 1;
    }

    /**
     * Compares both implementations' results on a freshly prepared input.
     *
     * @throws BenchmarkFailedException if they differ by more than rounding
     */
    void verify();

    /** The memory whose bandwidth bounds the operation; empty where bandwidth is no bound. */
    Optional<MemorySegment> memory();

    @Override
    void close();
}
