package dev.logratio.bench;

import dev.logratio.BackendUnavailableException;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Stream;

/**
 * {@code logratio bench}: exit status 0, 1 if a check failed, 2 for a mistake on the command line.
 */
@Command(
        name = "logratio bench",
        description =
                "Times the operations beside libtorch and beside the bandwidth of this machine, all"
                        + " in one run.",
        footer =
                "Without --quick, --memory or --loop: JMH over every case (about three quarters of"
                        + " an hour), then the loop that ratios are quoted from.",
        sortOptions = false)
public final class Main implements Callable<Integer> {
    @Option(names = "--quick", description = "Only the headline figures, in less than 50 s.")
    private boolean quick;

    @Option(
            names = "--memory",
            description = "Only check how much a forward and backward in place grow the process.")
    private boolean memory;

    @Option(
            names = "--loop",
            description =
                    "Without JMH: the loop that ratios are quoted from, over every case (about 10"
                            + " minutes).")
    private boolean loop;

    @Option(
            names = "--filter",
            paramLabel = "REGEX",
            converter = PatternConverter.class,
            description =
                    "Only the cases whose name contains a match, such as \"forward f32\"; --list"
                            + " names them.")
    private Pattern filter;

    @Option(names = "--list", description = "Print the names of the cases.")
    private boolean list;

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "Also write the figures to a file.")
    private Path json;

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
        requireCompatible();
        if (memory) {
            return MemoryCheck.run(System.out)
                    ? CommandLine.ExitCode.OK
                    : CommandLine.ExitCode.SOFTWARE;
        }
        List<CaseSpec> specs =
                Cases.all().stream()
                        .filter(one -> filter == null || filter.matcher(one.name()).find())
                        .toList();
        if (specs.isEmpty()) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--filter is \"" + filter + "\", which matches no case; --list names them");
        }
        if (list) {
            specs.forEach(one -> System.out.println(one.name()));
            return CommandLine.ExitCode.OK;
        }
        Report report = quick ? new QuickRun(System.out).run() : full(specs, !loop);
        if (json != null) {
            report.write(json);
        }
        return CommandLine.ExitCode.OK;
    }

    private void requireCompatible() {
        if (quick && filter != null || memory && filter != null) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--filter goes with a full run or --loop, not with --quick or --memory");
        }
        if (Stream.of(quick, memory, loop, list).filter(given -> given).count() > 1) {
            throw new ParameterException(
                    spec.commandLine(), "--quick, --memory, --loop and --list exclude each other");
        }
        if (json != null && (memory || list)) {
            throw new ParameterException(
                    spec.commandLine(), "--json goes with a full run, --loop or --quick");
        }
    }

    private static Report full(List<CaseSpec> specs, boolean withJmh) {
        Machine machine = Machine.current();
        System.out.println(machine);
        BandwidthReport bandwidth = BandwidthReport.measure();
        System.out.println(bandwidth);
        List<JmhRun.Score> scores = withJmh ? JmhRun.run(specs) : List.of();
        List<Measurement> measurements = specs.stream().map(AlternatingLoop::measure).toList();
        Report report = new Report(machine, bandwidth, measurements, scores);
        System.out.println();
        report.print(System.out);
        return report;
    }

    /** A regular expression, with a message of one line when it is none. */
    static final class PatternConverter implements ITypeConverter<Pattern> {
        @Override
        public Pattern convert(String value) {
            try {
                return Pattern.compile(value);
            } catch (PatternSyntaxException e) {
                throw new TypeConversionException(
                        "\"" + value + "\" is not a regular expression: " + e.getDescription());
            }
        }
    }
}
