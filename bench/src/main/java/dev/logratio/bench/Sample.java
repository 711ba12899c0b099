package dev.logratio.bench;

/**
 * A run, repeated as often as it takes to be timed well.
 *
 * @param run what is timed
 * @param repeats how often, in one sample
 */
record Sample(Runnable run, long repeats) {
    private static final long WARM_UP_NANOS = 300_000_000;

    /** Short runs spend most of their time in Java code, which is compiled by and by. */
    private static final long SHORT_RUN_WARM_UP_NANOS = 2_500_000_000L;

    /** Runs shorter than this are repeated until they take about as long. */
    private static final long SHORTEST_NANOS = 20_000_000;

    /** After so many runs that even Java code is compiled. */
    static Sample warmedUp(Runnable run) {
        long repeats = repeats(run, WARM_UP_NANOS, SHORTEST_NANOS);
        return new Sample(
                run, repeats == 1 ? 1 : repeats(run, SHORT_RUN_WARM_UP_NANOS, SHORTEST_NANOS));
    }

    /** For code that is warm already; samples take at least so long. */
    static Sample ofWarm(Runnable run, long shortestNanos) {
        return new Sample(run, repeats(run, shortestNanos, shortestNanos));
    }

    /** Runs for some time, and says how many runs a sample takes. */
    private static long repeats(Runnable run, long nanos, long shortestNanos) {
        long start = System.nanoTime();
        long runs = 0;
        long elapsed;
        do {
            run.run();
            runs++;
            elapsed = System.nanoTime() - start;
        } while (elapsed < nanos);
        return Math.max(1, shortestNanos * runs / elapsed);
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
