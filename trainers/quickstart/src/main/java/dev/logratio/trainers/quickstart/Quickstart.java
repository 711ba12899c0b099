package dev.logratio.trainers.quickstart;

import dev.logratio.Backend;
import dev.logratio.BackendUnavailableException;
import dev.logratio.Logratio;
import dev.logratio.trainers.quickstart.PreferenceFile.OnBadLine;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;

/**
 * The command {@code logratio quickstart}.
 *
 * @since 0.1.0
 */
@Command(
        name = "logratio quickstart",
        mixinStandardHelpOptions = true,
        description = {
            "Trains a small language model on the CPU: a supervised warm-up, then preference tuning"
                    + " from the same start with four losses.",
            "Prints a table that compares them on held-out pairs and draws their curves."
        })
public final class Quickstart implements Callable<Integer> {
    private static final int BAD_INPUT = 2;

    @Spec private CommandSpec spec;

    @Mixin private Settings settings;

    @Option(
            names = "--data",
            paramLabel = "FILE",
            description = {
                "Preference pairs (default: bundled ones): JSON lines or a JSON array in UTF-8,"
                        + " plain or compressed by gzip.",
                "chosen and rejected are strings, transcripts of the form"
                        + " \"Human: ... Assistant: ...\", or lists of messages with role and"
                        + " content or from and value. In their place, output may hold both.",
                "The prompt is prompt, conversations, question, or instruction and input, with"
                        + " system before it; without these it is what both answers start with."
                        + " A prompt that both answers repeat is taken off them."
            })
    private Path data;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            defaultValue = "quickstart-out",
            description = "Folder for the curves (default: ${DEFAULT-VALUE}).")
    private Path out;

    @Option(
            names = "--on-bad-line",
            defaultValue = "skip",
            description =
                    "What to do about a line that is not a preference pair:"
                            + " ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
    private OnBadLine onBadLine;

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            defaultValue = "cpu",
            description = "What computes the losses: cpu or reference (default: ${DEFAULT-VALUE}).")
    private String backendName;

    @Option(
            names = "--threads",
            defaultValue = "1",
            converter = Settings.Count.class,
            description = {
                "Threads for DJL and for the losses (default: ${DEFAULT-VALUE}).",
                "More than one makes DJL sum in another order, which changes the last digits; the"
                        + " model is too small to gain much."
            })
    private int threads;

    private Quickstart() {}

    /**
     * Runs the command and exits: status 0 if all went well, 2 for bad input, 1 for anything else.
     *
     * @param args the options
     */
    public static void main(String[] args) {
        System.exit(
                run(
                        args,
                        new PrintWriter(System.out, true, StandardCharsets.UTF_8),
                        new PrintWriter(System.err, true, StandardCharsets.UTF_8)));
    }

    static int run(String[] args, PrintWriter out, PrintWriter err) {
        return new CommandLine(new Quickstart())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setOut(out)
                .setErr(err)
                .setParameterExceptionHandler(
                        (e, arguments) -> {
                            err.println("logratio quickstart: " + e.getMessage());
                            return BAD_INPUT;
                        })
                .execute(args);
    }

    @Override
    public Integer call() throws IOException {
        PrintWriter printer = spec.commandLine().getOut();
        PrintWriter errors = spec.commandLine().getErr();
        long start = System.nanoTime();
        PreferenceFile file;
        Backend backend;
        try {
            file =
                    data == null
                            ? PreferenceFile.bundled()
                            : PreferenceFile.read(
                                    data,
                                    onBadLine,
                                    message -> errors.println(Printable.of(message)));
            if (file.pairs().size() < Dataset.LEAST_PAIRS) {
                throw new IOException(
                        data
                                + " has "
                                + file.pairs().size()
                                + " usable pairs; expected "
                                + Dataset.LEAST_PAIRS
                                + " or more");
            }
            backend = Backend.named(backendName);
            // Now rather than after minutes of training.
            Files.createDirectories(out);
        } catch (NoSuchFileException e) {
            return fail("no such file: " + e.getMessage(), BAD_INPUT);
        } catch (FileSystemException e) {
            String reason = e.getReason() == null ? e.getClass().getSimpleName() : e.getReason();
            return fail("cannot use " + e.getFile() + ": " + reason, BAD_INPUT);
        } catch (IOException | IllegalArgumentException e) {
            return fail(e.getMessage(), BAD_INPUT);
        } catch (BackendUnavailableException e) {
            return fail(e.getMessage(), 1);
        }
        Dataset dataset = Dataset.split(file.pairs(), settings.maxTokens, settings.seed);
        String name = data == null ? "Bundled preferences" : Printable.of(data.toString());
        String leftOut =
                "pairs left out because an answer has no token within "
                        + settings.maxTokens
                        + ": "
                        + dataset.leftOut()
                        + " of "
                        + file.pairs().size();
        if (!dataset.isEnough()) {
            return fail(name + ": " + leftOut + "; a larger --max-tokens keeps more", BAD_INPUT);
        }
        file.notes().forEach(note -> errors.println(name + ": " + note + "."));
        if (dataset.leftOut() > 0) {
            errors.println(name + ": " + leftOut + ".");
        }
        prepareEngine(backend, threads);
        printer.println(
                Report.format(
                        "%s: %d pairs to train on, %d held out, %d cut to %d tokens, "
                                + "bad lines left out: %d.",
                        name,
                        dataset.training().size(),
                        dataset.heldOut().size(),
                        dataset.truncated(),
                        settings.maxTokens,
                        file.badLines()));
        List<RunResult> runs = new Experiment(dataset, settings, backend, printer).run();
        report(printer, runs);
        for (Path chart : Charts.write(out, runs)) {
            printer.println(chart.toAbsolutePath().normalize());
        }
        printer.println(Report.format("Done in %.0f s.", (System.nanoTime() - start) / 1e9));
        return 0;
    }

    private int fail(String message, int status) {
        spec.commandLine().getErr().println("logratio quickstart: " + Printable.of(message));
        return status;
    }

    /** Fixes what decides speed and repeatability, before DJL loads its engine. */
    private static void prepareEngine(Backend backend, int threads) {
        if (!backend.equals(Backend.reference())) {
            Logratio.setThreads(threads);
        }
        System.setProperty("ai.djl.pytorch.num_threads", Integer.toString(threads));
        System.setProperty("ai.djl.pytorch.num_interop_threads", "1");
        // The natives are on the class path: nothing is to be looked up elsewhere.
        System.setProperty("ai.djl.offline", "true");
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "warn");
        // A machine without a usable GPU is nothing to warn of here.
        System.setProperty("org.slf4j.simpleLogger.log.ai.djl.util.cuda.CudaUtils", "error");
    }

    private static void report(PrintWriter printer, List<RunResult> runs) {
        printer.println();
        printer.print(Report.table(runs));
        printer.println(
                "Measured on the held-out pairs. reward accuracy: share with rho > 0. chosen"
                        + " likelier: share whose chosen answer has the higher log-prob.");
        printer.println(
                "trapped: share within 10 % of the loss's local minimum. KL to reference: nats per"
                        + " answer, on answers drawn from the policy, exact for each token.");
        for (RunResult run : runs) {
            printer.println();
            printer.println(Report.shapeSentence(run));
        }
        printer.println();
    }
}
