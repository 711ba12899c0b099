package dev.logratio.bench;

import dev.logratio.DType;
import dev.logratio.bench.TokenLogprobsCase.Pass;
import dev.logratio.bench.report.BandwidthReport;
import dev.logratio.bench.report.Machine;
import dev.logratio.bench.report.Measurement;
import dev.logratio.bench.report.Report;

import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The headline figures in well under a minute: the alternating loop alone. */
final class QuickRun {
    /**
     * Nothing beyond the headline figures is begun later than this after the start of the virtual
     * machine.
     */
    private static final Duration LATEST_EXTRA = Duration.ofSeconds(28);

    /** If there is time for all. */
    static final int CASES = 5;

    private final PrintStream out;
    private final Progress progress;
    private final List<Measurement> measurements = new ArrayList<>();

    QuickRun(PrintStream out, Progress progress) {
        this.out = out;
        this.progress = progress;
    }

    /** Measures, and prints the F32 forward line last. */
    Report run() {
        Machine machine = Machine.current(SystemFiles.device());
        out.println(machine);
        BandwidthReport bandwidth = Bandwidth.measure();
        out.println(bandwidth);
        Measurement forward = measure(Pass.FORWARD, DType.F32);
        out.println(inPlaceLine("f32", measure(Pass.FORWARD_BACKWARD, DType.F32)));
        pairLoss();
        if (timeLeft()) {
            out.println(forwardLine("bf16", measure(Pass.FORWARD, DType.BF16)));
        }
        if (timeLeft()) {
            out.println(inPlaceLine("bf16", measure(Pass.FORWARD_BACKWARD, DType.BF16)));
        }
        out.printf(
                "f32 input: %s of normal logits, of which libtorch works on a quarter, timed by the"
                        + " row; %d rounds, median of the ratios within a round%n",
                forward.input(), forward.rounds());
        out.println(forwardLine("f32", forward));
        return new Report(machine, bandwidth, 1, measurements, List.of());
    }

    private Measurement measure(Pass pass, DType dtype) {
        return measure(Cases.tokenLogprobs(pass, dtype, Cases.LARGE_VOCABULARY));
    }

    private Measurement measure(CaseSpec spec) {
        progress.begin(spec.name());
        Measurement measurement = AlternatingLoop.measure(spec);
        measurements.add(measurement);
        progress.finished("");
        return measurement;
    }

    private void pairLoss() {
        Measurement measured = measure(Cases.pairLoss());
        out.printf(
                Locale.ROOT,
                "pair_loss %d pairs with gradients from Java: %.2f us%n",
                Cases.PAIRS,
                measured.seconds() * 1e6);
        if (timeLeft()) {
            CallOverhead overhead = CallOverhead.measure();
            out.printf(
                    Locale.ROOT,
                    "pair_loss %d pairs through the C function: %.2f us, so Java adds %.2f us;"
                            + " %.0fx libtorch from Java%n",
                    Cases.PAIRS,
                    overhead.nativeSeconds() * 1e6,
                    overhead.seconds() * 1e6,
                    measured.timesLibtorch());
        }
    }

    private boolean timeLeft() {
        return ManagementFactory.getRuntimeMXBean().getUptime() < LATEST_EXTRA.toMillis();
    }

    private static String forwardLine(String dtype, Measurement measured) {
        return String.format(
                Locale.ROOT,
                "token_logprobs %s V=%d: %.2f of read bandwidth, %.1fx libtorch",
                dtype,
                Cases.LARGE_VOCABULARY,
                measured.shareOfLimit(),
                measured.timesLibtorch());
    }

    private static String inPlaceLine(String dtype, Measurement measured) {
        return String.format(
                Locale.ROOT,
                "token_logprobs %s V=%d forward + backward in place: %.2f of its limit, %.1fx"
                        + " libtorch",
                dtype,
                Cases.LARGE_VOCABULARY,
                measured.shareOfLimit(),
                measured.timesLibtorch());
    }
}
