package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;

import java.io.IOException;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/**
 * How much a forward and backward in place grow the process beyond the logits: by almost nothing,
 * or the operation copies.
 */
final class MemoryCheck {
    private static final int ROWS = 4096;
    private static final int COLUMNS = 151_936;
    private static final long ALLOWED_BYTES = 64L << 20;
    private static final Path STATUS = Path.of("/proc/self/status");
    private static final Path CLEAR = Path.of("/proc/self/clear_refs");

    /** Makes the kernel restart the peak of the resident size at its present value. */
    private static final String RESTART_PEAK = "5";

    private MemoryCheck() {}

    /**
     * Measures from filled logits to after the backward, and prints one line; true if the growth is
     * allowed.
     */
    static boolean run(PrintStream out) throws IOException {
        try (Arena arena = Arena.ofShared()) {
            Tensor logits = Tensor.zeros(arena, DType.BF16, ROWS, COLUMNS);
            new Inputs.LogitRows(arena, DType.BF16, COLUMNS).fill(logits);
            Tensor labels = Inputs.labels(arena, COLUMNS, ROWS);
            Files.writeString(CLEAR, RESTART_PEAK);
            long before = SystemFiles.kibibytes(STATUS, "VmRSS");

            Backend cpu = Backend.cpu();
            Tensor logp = Tensor.zeros(arena, DType.F32, ROWS);
            Tensor lse = Tensor.zeros(arena, DType.F64, ROWS);
            Tensor gradLogp = Tensor.zeros(arena, DType.F32, ROWS);
            gradLogp.fill(1);
            TokenLogprobs.of(logits, labels).logp(logp).lse(lse).run(cpu);
            TokenLogprobsBackward.of(logits, labels, lse).gradLogp(gradLogp).inPlace().run(cpu);

            long growth = SystemFiles.kibibytes(STATUS, "VmHWM") - before;
            out.printf(
                    Locale.ROOT,
                    "token_logprobs bf16 %d x %d forward + backward in place: peak %.1f MiB beyond"
                            + " the logits (%.0f MiB), allowed %d MiB%n",
                    ROWS,
                    COLUMNS,
                    growth / 0x1p20,
                    logits.segment().byteSize() / 0x1p20,
                    ALLOWED_BYTES >> 20);
            return growth < ALLOWED_BYTES;
        }
    }
}
