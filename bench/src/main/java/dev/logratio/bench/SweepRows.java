package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Logits of one dtype that are taken for rows of any number and length. */
final class SweepRows {
    /** So labels lie within every vocabulary. */
    static final int SHORTEST = 16;

    private static final int FILLED_COLUMNS = 4096;

    private final Backend cpu = Backend.cpu();
    private final Tensor elements;
    private final Tensor labels;
    private final Tensor logp;
    private final Tensor lse;
    private final Tensor ones;

    /**
     * Fills the logits.
     *
     * @param count of the logits, a multiple of 4096
     * @param mostRows the largest number of rows that is asked for
     */
    SweepRows(Arena arena, DType dtype, long count, int mostRows) {
        elements = Tensor.zeros(arena, dtype, count);
        new Inputs.LogitRows(arena, dtype, FILLED_COLUMNS).fill(elements);
        labels = Inputs.labels(arena, SHORTEST, mostRows);
        logp = Tensor.zeros(arena, DType.F32, mostRows);
        lse = Tensor.zeros(arena, DType.F64, mostRows);
        ones = Tensor.zeros(arena, DType.F32, mostRows).fill(1);
    }

    /** The memory of the first rows. */
    MemorySegment memory(int rows, int columns) {
        return elements.slice(0, 0, (long) rows * columns).segment();
    }

    /** The forward of the first rows, with logp and lse. */
    Runnable forward(int rows, int columns) {
        TokenLogprobs call =
                TokenLogprobs.of(logits(rows, columns), labels.slice(0, 0, rows))
                        .logp(logp.slice(0, 0, rows))
                        .lse(lse.slice(0, 0, rows));
        return () -> call.run(cpu);
    }

    /** The same, and the backward in place. */
    Runnable both(int rows, int columns) {
        Runnable forward = forward(rows, columns);
        TokenLogprobsBackward backward =
                TokenLogprobsBackward.of(
                                logits(rows, columns),
                                labels.slice(0, 0, rows),
                                lse.slice(0, 0, rows))
                        .gradLogp(ones.slice(0, 0, rows))
                        .inPlace();
        return () -> {
            forward.run();
            backward.run(cpu);
        };
    }

    private Tensor logits(int rows, int columns) {
        return elements.slice(0, 0, (long) rows * columns).reshape(rows, columns);
    }
}
