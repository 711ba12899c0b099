package dev.logratio.bench;

import picocli.CommandLine.Option;

import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;

/** What a command is to do, and which options go with it. */
enum Mode {
    FULL,
    LOOP,
    QUICK,
    LIST,
    MEMORY,
    SWEEP,
    PAGES,
    LINEAR,
    README;

    private static final Set<Mode> WITH_LOOP = EnumSet.of(FULL, LOOP);
    private static final Set<Mode> WITH_CASES = EnumSet.of(FULL, LOOP, LIST);
    private static final Set<Mode> WITH_FILES = EnumSet.of(FULL, LOOP, QUICK, SWEEP, PAGES, LINEAR);
    private static final Set<Mode> WITH_CHART = EnumSet.of(FULL, LOOP, QUICK, SWEEP);

    /** The options that choose it. */
    static final class Options {
        static final String EXCLUSIVE =
                "--loop, --quick, --memory, --list, --sweep, --pages, --linear and --readme"
                        + " exclude each other";

        @Option(names = "--quick", description = "Only the headline figures, in less than 50 s.")
        private boolean quick;

        @Option(
                names = "--memory",
                description =
                        "Only check how much a forward and backward in place grow the process.")
        private boolean memory;

        @Option(
                names = "--loop",
                description =
                        "Without JMH: the loop that ratios are quoted from, over every case (about"
                                + " 10 minutes).")
        private boolean loop;

        @Option(names = "--list", description = "Print the names of the cases.")
        private boolean list;

        @Option(
                names = "--sweep",
                description =
                        "Small calls, and the speed by the number of rows and by their length"
                                + " (about 2 minutes).")
        private boolean sweep;

        @Option(
                names = "--pages",
                description =
                        "What huge pages gain, and what the first touch of memory costs (about half"
                                + " a minute).")
        private boolean pages;

        @Option(
                names = "--linear",
                description =
                        "linear_preference_step with each of its plans, beside plain products and"
                                + " libtorch (about 5 minutes and 7 GB).")
        private boolean linear;

        @Option(
                names = "--readme",
                description =
                        "Measure nothing: bring the figures in README.md, docs and bench/results up"
                                + " to the newest files of bench/results.")
        private boolean readme;

        /** The mode; empty if two are asked for. */
        Optional<Mode> chosen() {
            Set<Mode> given = EnumSet.noneOf(Mode.class);
            add(given, quick, QUICK);
            add(given, memory, MEMORY);
            add(given, loop, LOOP);
            add(given, list, LIST);
            add(given, sweep, SWEEP);
            add(given, pages, PAGES);
            add(given, linear, LINEAR);
            add(given, readme, README);
            add(given, given.isEmpty(), FULL);
            return given.size() == 1 ? given.stream().findFirst() : Optional.empty();
        }

        private static void add(Set<Mode> modes, boolean given, Mode mode) {
            if (given) {
                modes.add(mode);
            }
        }
    }

    /** What is wrong with the options that are given besides. */
    static Optional<String> mistake(Mode mode, LoopOptions loop, OutputFiles files, boolean check) {
        if (loop.filter() != null && !WITH_CASES.contains(mode)) {
            return Optional.of("--filter goes with a full run, --loop or --list");
        }
        if (loop.needLoop() && !WITH_LOOP.contains(mode)) {
            return Optional.of("--repeats and --against go with a full run or --loop");
        }
        if (!files.given().isEmpty() && !WITH_FILES.contains(mode)) {
            return Optional.of(
                    files.given().keySet().iterator().next()
                            + " goes with a full run, --loop, --quick, --sweep, --pages or"
                            + " --linear");
        }
        if (files.hasChart() && !WITH_CHART.contains(mode)) {
            return Optional.of("--png goes with a full run, --loop, --quick or --sweep");
        }
        if (check && mode != SWEEP) {
            return Optional.of("--check goes with --sweep");
        }
        if (loop.against() != null && files.given().containsValue(loop.against())) {
            return Optional.of("--against names a file that this run would write over");
        }
        return loop.mistake().or(files::mistake);
    }
}
