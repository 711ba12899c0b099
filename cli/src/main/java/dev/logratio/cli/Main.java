package dev.logratio.cli;

import dev.logratio.Logratio;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.PrintWriter;
import java.nio.charset.Charset;

/**
 * The command line. Exit status 0: done; 2: a mistake in the arguments or the files; 1: another
 * failure, such as standard output that cannot be written. What is not 0 is said on standard error,
 * each in one line.
 */
@Command(
        name = "logratio",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class,
        description = "Preference-optimisation losses on hand-written kernels.",
        subcommands = {EvalCommand.class, InfoCommand.class, ShapeCommand.class})
public final class Main implements Runnable {
    @Spec private CommandSpec spec;

    /** Made by the command-line library. */
    Main() {}

    /**
     * Runs a command and ends the process with its exit status.
     *
     * @param args the command and its arguments
     */
    public static void main(String[] args) {
        System.exit(
                run(
                        StandardOutput.ofProcess(),
                        System.out.charset(),
                        new PrintWriter(System.err, true),
                        args));
    }

    /** Runs a command and gives its exit status. */
    static int run(StandardOutput out, Charset charset, PrintWriter err, String... args) {
        PrintWriter printer = new PrintWriter(out, false, charset);
        int status =
                new CommandLine(new Main())
                        .setOut(printer)
                        .setErr(err)
                        .setExpandAtFiles(false) // a file may well be named @something
                        .setParameterExceptionHandler(Main::reportUsage)
                        .execute(args);
        printer.flush();
        if (out.failure().isPresent()) {
            err.println(
                    OneLine.of(
                            "logratio: standard output cannot be written: "
                                    + out.failure().get().getMessage()));
            return Math.max(status, CommandLine.ExitCode.SOFTWARE);
        }
        return status;
    }

    @Override
    public void run() {
        throw new ParameterException(
                spec.commandLine(), "a command is missing, expected eval, info or shape");
    }

    private static int reportUsage(ParameterException e, String[] args) {
        CommandLine command = e.getCommandLine();
        command.getErr()
                .println(
                        OneLine.of(
                                command.getCommandSpec().qualifiedName() + ": " + e.getMessage()));
        return CommandLine.ExitCode.USAGE;
    }

    /** The version of the library. */
    static final class Version implements IVersionProvider {
        @Override
        public String[] getVersion() {
            return new String[] {"logratio " + Logratio.version()};
        }
    }
}
