package dev.logratio.bench;

import dev.logratio.Logratio;
import dev.logratio.bench.report.Median;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * The speed of a case's arithmetic alone. As many threads as the operations use each run the case
 * on a few rows of their own, which stay in their core's cache, at the same time; so cores share
 * what they share when they work on rows from memory.
 */
final class CachedSpeed {
    private static final int LEAST_RUNS = 15;
    private static final int WARM_UPS = 5;
    private static final long NANOS = 150_000_000;

    private CachedSpeed() {}

    /** Seconds that all threads together would take per byte of logits. */
    static double secondsPerByte(CaseSpec spec) {
        int threads = Logratio.threads();
        List<Case> cases = new ArrayList<>();
        try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
            for (int i = 0; i < threads; i++) {
                cases.add(spec.openCached());
            }
            Logratio.setThreads(1);
            List<Callable<Double>> runs = new ArrayList<>();
            cases.forEach(one -> runs.add(() -> median(one)));
            double total = 0;
            for (Future<Double> seconds : executor.invokeAll(runs)) {
                total += seconds.get();
            }
            long bytes = cases.getFirst().memory().map(MemorySegment::byteSize).orElseThrow();
            return total / threads / threads / bytes;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("the benchmark was interrupted", e);
        } catch (ExecutionException e) {
            throw new IllegalStateException(spec.name() + " failed on rows in the cache", e);
        } finally {
            Logratio.setThreads(threads);
            cases.forEach(Case::close);
        }
    }

    private static double median(Case one) {
        List<Double> seconds = new ArrayList<>();
        long end = 0;
        for (int run = -WARM_UPS; run < LEAST_RUNS || System.nanoTime() < end; run++) {
            one.prepare();
            long start = System.nanoTime();
            one.ours();
            long stop = System.nanoTime();
            if (run < 0) {
                end = stop + NANOS;
            } else {
                seconds.add((stop - start) / 1e9);
            }
        }
        return Median.of(seconds.stream().mapToDouble(s -> s).toArray());
    }
}
