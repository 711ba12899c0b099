package dev.logratio.cli;

import dev.logratio.Backend;
import dev.logratio.BackendInfo;
import dev.logratio.BackendUnavailableException;
import dev.logratio.GemmInfo;
import dev.logratio.Logratio;
import dev.logratio.bindings.NativeLibrary;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

import java.io.PrintWriter;
import java.util.function.Supplier;

/** {@code logratio info}: what this build is and what it can do here. */
@Command(
        name = "info",
        mixinStandardHelpOptions = true,
        description =
                "Prints versions, backends (with the reason where one cannot run), instruction set,"
                        + " threads, and what makes matrix products.")
final class InfoCommand implements Runnable {
    @Spec private CommandSpec spec;

    @Override
    public void run() {
        PrintWriter out = spec.commandLine().getOut();
        line(out, "Logratio", Logratio.version());
        line(out, "ABI", Integer.toString(NativeLibrary.ABI_VERSION));
        line(out, "Java", Runtime.version() + ", " + System.getProperty("java.vm.name"));
        line(
                out,
                "System",
                System.getProperty("os.name")
                        + " "
                        + System.getProperty("os.version")
                        + ", "
                        + System.getProperty("os.arch"));
        for (BackendInfo backend : Backend.all()) {
            boolean available = backend.backend().isPresent();
            line(
                    out,
                    "Backend " + backend.name(),
                    (available ? "available: " : "unavailable: ") + backend.detail());
            if (available && backend.name().equals("cpu")) {
                line(out, "Instruction set", Logratio.instructionSet());
                line(out, "Threads", Integer.toString(Logratio.threads()));
                line(out, "Products", products(Logratio::gemm));
            }
            if (available && backend.name().equals("cuda")) {
                line(out, "Products on CUDA", products(() -> Logratio.cudaGemm(0)));
            }
        }
    }

    /** What makes matrix products, or why nothing does. */
    private static String products(Supplier<GemmInfo> info) {
        try {
            GemmInfo gemm = info.get();
            return gemm.library()
                    + (gemm.path().isEmpty() ? "'s own" : ", " + gemm.path())
                    + (gemm.bfloat16() ? ", BF16 as it is" : ", BF16 widened to F32");
        } catch (BackendUnavailableException e) {
            return "unavailable: " + e.getMessage();
        }
    }

    private static void line(PrintWriter out, String name, String value) {
        out.println(OneLine.of(String.format("%-18s %s", name, value)));
    }
}
