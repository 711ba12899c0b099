package dev.logratio.bench;

import dev.logratio.bench.Pass.Round;
import dev.logratio.bench.report.Measurement;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * The loop that ratios are quoted from: each round runs libtorch, the bandwidth probes and Logratio
 * one after the other, and a ratio is taken within a round, so that a machine whose speed drifts
 * slows all of them alike.
 */
final class AlternatingLoop {
    /** The fewest rounds worth a median. */
    static final int ROUNDS = 7;

    /** The fewest rounds of one repeat among several. */
    private static final int ROUNDS_OF_REPEAT = 3;

    /** Where rounds are short there are more, in about this time for all repeats. */
    private static final long CASE_NANOS = 4_000_000_000L;

    private static final int MOST_ROUNDS = 31;

    /** libtorch works on a quarter of a large input, 256 MiB, and its time counts fourfold. */
    private static final int LIBTORCH_PARTS = 4;

    /**
     * libtorch's workers go on spinning for some milliseconds after a call and would take a core
     * from what comes next.
     */
    private static final int SETTLE_MILLIS = 30;

    private AlternatingLoop() {}

    /**
     * Checks a case's results, then measures it once.
     *
     * @throws BenchmarkFailedException if Logratio and libtorch disagree
     */
    static Measurement measure(CaseSpec spec) {
        return Pass.summary(spec, List.of(pass(spec, 1, 0)));
    }

    /**
     * Checks a case's results, then measures one of several repeats of it, and from the cache, too.
     *
     * @param repeats how many there are, which share the time and the rounds
     * @throws BenchmarkFailedException if Logratio and libtorch disagree
     */
    static Pass repeat(CaseSpec spec, int repeats) {
        return pass(spec, repeats, spec.bounded() ? CachedSpeed.secondsPerByte(spec) : 0);
    }

    private static Pass pass(CaseSpec spec, int repeats, double cachedSecondsPerByte) {
        try (Case opened = spec.open(LIBTORCH_PARTS)) {
            opened.verify();
            long bytes = opened.memory().map(MemorySegment::byteSize).orElse(0L);
            return new Pass(
                    opened.input(),
                    bytes,
                    rounds(spec, opened, repeats),
                    cachedSecondsPerByte * bytes);
        }
    }

    private static List<Round> rounds(CaseSpec spec, Case opened, int repeats) {
        int least = Math.max(Math.ceilDiv(ROUNDS, repeats), ROUNDS_OF_REPEAT);
        boolean probed = spec.bounded();
        MemorySegment memory = opened.memory().orElse(MemorySegment.NULL);
        Sample ours = Sample.warmedUp(opened::ours);
        Sample libtorch = Sample.warmedUp(opened::libtorch);
        List<Round> rounds = new ArrayList<>();
        long start = System.nanoTime();
        while (rounds.size() < least
                || (System.nanoTime() - start < CASE_NANOS / repeats
                        && rounds.size() < MOST_ROUNDS)) {
            opened.prepare();
            double libtorchSeconds = opened.libtorchParts() * libtorch.seconds();
            settle();
            double updateSeconds = probed ? Bandwidth.UPDATE.seconds(memory) : 0;
            double readSeconds = probed ? Bandwidth.READ.seconds(memory) : 0;
            rounds.add(new Round(libtorchSeconds, updateSeconds, readSeconds, ours.seconds()));
        }
        return rounds;
    }

    private static void settle() {
        try {
            Thread.sleep(SETTLE_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("the benchmark was interrupted", e);
        }
    }
}
