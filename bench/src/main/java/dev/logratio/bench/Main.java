package dev.logratio.bench;

import dev.logratio.BackendUnavailableException;
import dev.logratio.bench.report.BandwidthReport;
import dev.logratio.bench.report.Comparison;
import dev.logratio.bench.report.Documents;
import dev.logratio.bench.report.JmhScore;
import dev.logratio.bench.report.Machine;
import dev.logratio.bench.report.Outcome;
import dev.logratio.bench.report.Report;
import dev.logratio.bench.report.SweepReport;
import dev.logratio.bench.report.UnusableFileException;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;

/**
 * {@code logratio bench}: exit status 0, 1 if a check failed, 2 for a mistake on the command line
 * or in a file that it names.
 */
@Command(
        name = "logratio bench",
        description =
                "Times the operations beside libtorch and beside the bandwidth of this machine, all"
                        + " in one run.",
        footer =
                "Without one of the options from --quick to --readme: JMH over every case (about"
                        + " three quarters of an hour), then the loop that ratios are quoted from.",
        sortOptions = false)
public final class Main implements Callable<Integer> {
    @Mixin private Mode.Options mode;
    @Mixin private LoopOptions loop;
    @Mixin private OutputFiles files;

    @Option(
            names = "--check",
            description =
                    "Of --sweep: end in status 1 if a point past the caches lies more than 15 %%"
                            + " below its neighbours' trend.")
    private boolean check;

    @Option(
            names = {"-h", "--help"},
            usageHelp = true,
            description = "Print this text.")
    private boolean help;

    @Spec private CommandSpec spec;

    private Main() {}

    /**
     * Runs the command and exits with its status.
     *
     * @param args the command line
     */
    public static void main(String[] args) {
        System.exit(run(args));
    }

    /** Runs the command; its exit status. */
    static int run(String... args) {
        CommandLine commandLine = new CommandLine(new Main());
        commandLine.setParameterExceptionHandler(
                (e, arguments) -> {
                    e.getCommandLine().getErr().println(e.getMessage());
                    return CommandLine.ExitCode.USAGE;
                });
        commandLine.setExecutionExceptionHandler(
                (e, executed, result) -> {
                    if (e instanceof UnusableFileException) {
                        executed.getErr().println(e.getMessage());
                        return CommandLine.ExitCode.USAGE;
                    }
                    if (e instanceof BenchmarkFailedException
                            || e instanceof BackendUnavailableException) {
                        executed.getErr().println(e.getMessage());
                        return CommandLine.ExitCode.SOFTWARE;
                    }
                    throw e;
                });
        return commandLine.execute(args);
    }

    @Override
    public Integer call() throws IOException {
        Mode chosen = mode.chosen().orElseThrow(() -> mistake(Mode.Options.EXCLUSIVE));
        Mode.mistake(chosen, loop, files, check)
                .ifPresent(
                        text -> {
                            throw mistake(text);
                        });
        boolean holds =
                switch (chosen) {
                    case FULL -> loop(true);
                    case LOOP -> loop(false);
                    case LIST -> list();
                    case QUICK -> quick();
                    case MEMORY -> memory();
                    case SWEEP -> sweep();
                    case PAGES -> pages();
                    case LINEAR -> linear();
                    case README -> readme();
                };
        return holds ? CommandLine.ExitCode.OK : CommandLine.ExitCode.SOFTWARE;
    }

    private ParameterException mistake(String text) {
        return new ParameterException(spec.commandLine(), text);
    }

    private List<CaseSpec> specs() {
        List<CaseSpec> specs = Cases.all().stream().filter(one -> loop.wants(one.name())).toList();
        if (specs.isEmpty()) {
            throw mistake(
                    "--filter is \""
                            + loop.filter()
                            + "\", which matches no case; --list names them");
        }
        return specs;
    }

    private boolean list() {
        specs().forEach(one -> System.out.println(one.name()));
        return true;
    }

    private boolean loop(boolean withJmh) throws IOException {
        List<CaseSpec> specs = specs();
        Machine machine = Machine.current(SystemFiles.device());
        Comparison comparison =
                loop.against() == null ? null : Comparison.with(loop.against(), machine);
        System.out.println(machine);
        BandwidthReport bandwidth = Bandwidth.measure();
        System.out.println(bandwidth);
        List<JmhScore> scores = withJmh ? JmhRun.run(specs) : List.of();
        try (Progress progress = Progress.of(specs.size() * loop.repeats())) {
            Report report =
                    new Report(
                            machine,
                            bandwidth,
                            loop.repeats(),
                            LoopRun.measure(specs, loop.repeats(), progress),
                            scores);
            System.out.println();
            finish(report);
            if (comparison == null) {
                return true;
            }
            boolean holds = comparison.compare(report, loop::wants);
            comparison.lines().forEach(System.out::println);
            return holds;
        }
    }

    private boolean quick() throws IOException {
        try (Progress progress = Progress.of(QuickRun.CASES)) {
            files.write(new QuickRun(System.out, progress).run());
            return true;
        }
    }

    private static boolean memory() throws IOException {
        try (Progress progress = Progress.of(1)) {
            progress.begin("memory");
            boolean holds = MemoryCheck.run(System.out);
            progress.finished(holds ? "held" : "exceeded");
            return holds;
        }
    }

    private boolean sweep() throws IOException {
        try (Progress progress = Progress.of(SweepRun.steps())) {
            SweepReport report = new SweepRun(progress).run();
            System.out.println(report.machine());
            finish(report);
            return !check || report.holds();
        }
    }

    private boolean pages() throws IOException {
        try (Progress progress = Progress.of(PagesRun.steps())) {
            finish(new PagesRun(progress).run());
            return true;
        }
    }

    private boolean linear() throws IOException {
        try (Progress progress = Progress.of(LinearRun.steps())) {
            finish(new LinearRun(progress).run());
            return true;
        }
    }

    private static boolean readme() throws IOException {
        Documents.of(Path.of(System.getProperty("logratio.root", ".")))
                .write()
                .forEach(System.out::println);
        return true;
    }

    private void finish(Outcome outcome) throws IOException {
        outcome.print(System.out);
        files.write(outcome);
    }
}
