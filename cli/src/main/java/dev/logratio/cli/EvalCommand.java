package dev.logratio.cli;

import dev.logratio.Backend;
import dev.logratio.BackendUnavailableException;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;

/** {@code logratio eval}: one operation on the tensors of a file, or of each of many. */
@Command(
        name = "eval",
        mixinStandardHelpOptions = true,
        description =
                "Runs one operation on the tensors of a safetensors file and writes its outputs to"
                        + " another.",
        customSynopsis = {
            "logratio eval --backend BACKEND IN OUT",
            "logratio eval --backend BACKEND --out-dir DIR IN...",
            "logratio eval --list"
        })
final class EvalCommand implements Callable<Integer> {
    private static final Logger LOGGER = System.getLogger(EvalCommand.class.getName());

    @Spec private CommandSpec spec;

    @CommandLine.Option(
            names = "--backend",
            paramLabel = "BACKEND",
            description =
                    "reference (float64, Java), cpu (native), cuda, or emulator (the CUDA kernels"
                            + " on the host, for tests)")
    private String backendName;

    @CommandLine.Option(
            names = "--out-dir",
            paramLabel = "DIR",
            description = "write DIR/<name of IN> for every IN")
    private String outDirectory;

    @CommandLine.Option(
            names = "--list",
            description = "print the operations, tensors, options, ranges and defaults")
    private boolean list;

    @Parameters(paramLabel = "FILE", description = "IN and OUT, or with --out-dir one IN or more")
    private List<String> files = List.of();

    @Override
    public Integer call() {
        if (list) {
            new Listing(spec.commandLine().getOut()).print();
            return CommandLine.ExitCode.OK;
        }
        checkArguments();
        Backend backend = backend();
        return outDirectory == null ? evaluateOne(backend) : evaluateAll(backend);
    }

    private void checkArguments() {
        if (backendName == null) {
            throw usage("--backend is missing, expected reference, cpu, cuda or emulator");
        }
        if (outDirectory == null && files.size() != 2) {
            throw usage(
                    "expected IN and OUT, or --out-dir DIR and IN..., but got "
                            + files.size()
                            + " file(s)");
        }
        if (files.isEmpty()) {
            throw usage("IN is missing, expected one file or more");
        }
    }

    private Backend backend() {
        try {
            return Backend.named(backendName);
        } catch (IllegalArgumentException | BackendUnavailableException e) {
            throw usage(e.getMessage());
        }
    }

    private int evaluateOne(Backend backend) {
        String in = files.getFirst();
        return report(in, attempt(backend, in, () -> Path.of(files.getLast())));
    }

    private int evaluateAll(Backend backend) {
        try {
            Files.createDirectories(Path.of(outDirectory));
        } catch (IOException | InvalidPathException e) {
            throw usage("--out-dir " + outDirectory + " cannot be made: " + Text.reason(e));
        }
        Set<Path> taken = new HashSet<>();
        int status = CommandLine.ExitCode.OK;
        for (String in : files) {
            String error =
                    attempt(
                            backend,
                            in,
                            () -> {
                                Path name = Path.of(in).getFileName();
                                if (name == null) {
                                    throw new CaseException(
                                            "not a regular file, expected a safetensors file");
                                }
                                Path out = Path.of(outDirectory).resolve(name);
                                if (!taken.add(out)) {
                                    throw new CaseException(
                                            "another input has this name too, expected each name"
                                                    + " once in "
                                                    + outDirectory);
                                }
                                return out;
                            });
            status = Math.max(status, report(in, error));
        }
        return status;
    }

    /** Where the outputs of a file go. */
    private interface Target {
        Path path() throws CaseException;
    }

    /** Evaluates one file; what is wrong, or null. */
    private static String attempt(Backend backend, String in, Target target) {
        try {
            Path input = Path.of(in);
            Path output = target.path();
            if (Files.exists(output) && Files.exists(input) && Files.isSameFile(input, output)) {
                throw new CaseException(
                        "the output " + output + " is the input itself, expected another file");
            }
            Case.evaluate(backend, input, output);
            return null;
        } catch (CaseException | BackendUnavailableException e) {
            return e.getMessage();
        } catch (IOException | InvalidPathException e) {
            return Text.reason(e);
        } catch (OutOfMemoryError e) {
            return "not enough memory for its tensors: " + e.getMessage();
        } catch (RuntimeException | StackOverflowError e) {
            LOGGER.log(Level.DEBUG, in, e);
            return "it cannot be evaluated, by a fault of this program: "
                    + e; // the other files can, all the same
        }
    }

    private int report(String in, String error) {
        if (error == null) {
            return CommandLine.ExitCode.OK;
        }
        spec.commandLine().getErr().println(OneLine.of(in + ": " + error));
        return CommandLine.ExitCode.USAGE;
    }

    private ParameterException usage(String message) {
        return new ParameterException(spec.commandLine(), message);
    }
}
