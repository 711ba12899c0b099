package dev.logratio.bench;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * The loop that ratios are quoted from: each round runs libtorch, the bandwidth probes and Logratio
 * one after the other, and a ratio is taken within a round, so that a machine whose speed drifts
 * slows all of them alike.
 */
final class AlternatingLoop {
    /** The fewest rounds worth a median. */
    static final int ROUNDS = 7;

    /** Where rounds are short there are more, in about this time. */
    private static final long CASE_NANOS = 4_000_000_000L;

    private static final int MOST_ROUNDS = 31;

    /** libtorch works on a quarter of a large input, 256 MiB, and its time counts fourfold. */
    private static final int LIBTORCH_PARTS = 4;

    private static final long WARM_UP_NANOS = 300_000_000;

    /** Short runs spend most of their time in Java code, which is compiled by and by. */
    private static final long SHORT_RUN_WARM_UP_NANOS = 2_500_000_000L;

    /** Runs shorter than this are repeated until they take about as long. */
    private static final long SHORTEST_SAMPLE_NANOS = 20_000_000;

    /**
     * libtorch's workers go on spinning for some milliseconds after a call and would take a core
     * from what comes next.
     */
    private static final int SETTLE_MILLIS = 30;

    private AlternatingLoop() {}

    /**
     * Checks a case's results, then measures it.
     *
     * @throws BenchmarkFailedException if Logratio and libtorch disagree
     */
    static Measurement measure(CaseSpec spec) {
        try (Case opened = spec.open(LIBTORCH_PARTS)) {
            opened.verify();
            return summary(spec, opened, rounds(spec, opened));
        }
    }

    /** Times in seconds, libtorch's brought to the whole input; 0 for probes that do not run. */
    private record Round(double libtorch, double update, double read, double ours) {}

    private static List<Round> rounds(CaseSpec spec, Case opened) {
        boolean probed = spec.limit() != Limit.NONE;
        MemorySegment memory = opened.memory().orElse(MemorySegment.NULL);
        Sample ours = Sample.warmedUp(opened::ours);
        Sample libtorch = Sample.warmedUp(opened::libtorch);
        List<Round> rounds = new ArrayList<>();
        long start = System.nanoTime();
        while (rounds.size() < ROUNDS
                || (System.nanoTime() - start < CASE_NANOS && rounds.size() < MOST_ROUNDS)) {
            opened.prepare();
            double libtorchSeconds = opened.libtorchParts() * libtorch.seconds();
            settle();
            double updateSeconds = probed ? Bandwidth.UPDATE.seconds(memory) : 0;
            double readSeconds = probed ? Bandwidth.READ.seconds(memory) : 0;
            rounds.add(new Round(libtorchSeconds, updateSeconds, readSeconds, ours.seconds()));
        }
        return rounds;
    }

    private static Measurement summary(CaseSpec spec, Case opened, List<Round> rounds) {
        boolean probed = spec.limit() != Limit.NONE;
        double bytes = opened.memory().map(MemorySegment::byteSize).orElse(0L);
        return new Measurement(
                spec.name(),
                opened.input(),
                rounds.size(),
                median(rounds, Round::ours),
                median(rounds, Round::libtorch),
                median(rounds, round -> round.libtorch / round.ours),
                probed
                        ? median(
                                rounds,
                                round ->
                                        spec.limit().seconds(round.read, round.update) / round.ours)
                        : null,
                probed ? bytes / median(rounds, Round::read) : null,
                probed
                        ? Bandwidth.UPDATE.traffic(1) * bytes / median(rounds, Round::update)
                        : null);
    }

    private static double median(List<Round> rounds, ToDoubleFunction<Round> figure) {
        return Median.of(rounds.size(), i -> figure.applyAsDouble(rounds.get(i)));
    }

    static void settle() {
        try {
            Thread.sleep(SETTLE_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("the benchmark was interrupted", e);
        }
    }

    /** A run, repeated as often as it takes to be timed well. */
    record Sample(Runnable run, long repeats) {
        static Sample warmedUp(Runnable run) {
            long repeats = repeats(run, WARM_UP_NANOS);
            return new Sample(run, repeats == 1 ? 1 : repeats(run, SHORT_RUN_WARM_UP_NANOS));
        }

        /** Runs for some time, and says how many runs a sample takes. */
        private static long repeats(Runnable run, long nanos) {
            long start = System.nanoTime();
            long runs = 0;
            long elapsed;
            do {
                run.run();
                runs++;
                elapsed = System.nanoTime() - start;
            } while (elapsed < nanos);
            return Math.max(1, SHORTEST_SAMPLE_NANOS * runs / elapsed);
        }

        /** Mean seconds of a run. */
        double seconds() {
            long start = System.nanoTime();
            for (long i = 0; i < repeats; i++) {
                run.run();
            }
            return (System.nanoTime() - start) / 1e9 / repeats;
        }
    }
}
