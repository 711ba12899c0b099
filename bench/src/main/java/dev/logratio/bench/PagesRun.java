package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;
import dev.logratio.bench.report.Machine;
import dev.logratio.bench.report.Median;
import dev.logratio.bench.report.PagesReport;
import dev.logratio.bench.report.PagesReport.Row;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * token_logprobs on small and on huge pages in turn, and its backward into memory that is touched
 * for the first time, into memory that is not, and in place.
 */
final class PagesRun {
    /** What is timed, in this order within a round. */
    private enum Step {
        READ("read probe"),
        UPDATE("update probe"),
        FORWARD("token_logprobs forward"),
        BOTH("token_logprobs forward + backward in place"),
        IN_PLACE("token_logprobs backward in place"),
        WARM("token_logprobs backward into memory used before"),
        FRESH("token_logprobs backward into fresh memory");

        private final String title;

        Step(String title) {
            this.title = title;
        }

        boolean isBackward() {
            return compareTo(IN_PLACE) >= 0;
        }
    }

    private static final int COLUMNS = Cases.LARGE_VOCABULARY;
    private static final long BYTES = 1L << 29;
    private static final int COPIES = 6; // logits and a gradient of both kinds, and some room
    private static final int ROUNDS = 9;

    private final Progress progress;
    private final int rows;

    PagesRun(Progress progress) {
        this.progress = progress;
        long bytes = Math.min(BYTES, SystemFiles.availableMemory() / COPIES);
        rows = (int) Math.max(1, bytes / ((long) COLUMNS * Float.BYTES));
    }

    static int steps() {
        return ROUNDS + 1;
    }

    PagesReport run() {
        try (Arena arena = Arena.ofShared();
                Side small = new Side(arena, false);
                Side huge = new Side(arena, true)) {
            double[][] smallSeconds = new double[Step.values().length][ROUNDS];
            double[][] hugeSeconds = new double[Step.values().length][ROUNDS];
            for (int round = -1; round < ROUNDS; round++) {
                progress.begin(round < 0 ? "warm-up" : "round " + (round + 1));
                for (Step step : Step.values()) {
                    double one = small.seconds(step);
                    double other = huge.seconds(step);
                    if (round >= 0) {
                        smallSeconds[step.ordinal()][round] = one;
                        hugeSeconds[step.ordinal()][round] = other;
                    }
                }
                progress.finished("");
            }
            return new PagesReport(
                    Machine.current(SystemFiles.device()),
                    SystemFiles.hugePages(),
                    String.format(
                            Locale.ROOT,
                            "f32 %d x %d, %.2f GB",
                            rows,
                            COLUMNS,
                            (double) rows * COLUMNS * Float.BYTES / 1e9),
                    huge.logits.hugeShare(),
                    Arrays.stream(Step.values())
                            .map(step -> row(step, smallSeconds, hugeSeconds))
                            .toList());
        }
    }

    private static Row row(Step step, double[][] small, double[][] huge) {
        int inPlace = Step.IN_PLACE.ordinal();
        int at = step.ordinal();
        return new Row(
                step.title,
                Median.of(small[at]),
                Median.of(huge[at]),
                ratio(small[at], huge[at]),
                step.isBackward() ? ratio(small[at], small[inPlace]) : null,
                step.isBackward() ? ratio(huge[at], huge[inPlace]) : null);
    }

    private static double ratio(double[] above, double[] below) {
        return Median.of(
                IntStream.range(0, above.length).mapToDouble(i -> above[i] / below[i]).toArray());
    }

    /** Logits and a gradient on pages of one size, and what the operations need besides. */
    private final class Side implements AutoCloseable {
        private final Backend cpu = Backend.cpu();
        private final MappedTensor logits;
        private final MappedTensor gradient;
        private final TokenLogprobs forward;
        private final TokenLogprobsBackward inPlace;
        private final TokenLogprobsBackward elsewhere;

        Side(Arena arena, boolean huge) {
            logits = new MappedTensor(huge, DType.F32, rows, COLUMNS);
            gradient = new MappedTensor(huge, DType.F32, rows, COLUMNS);
            new Inputs.LogitRows(arena, DType.F32, COLUMNS).fill(logits.tensor());
            Tensor labels = Inputs.labels(arena, COLUMNS, rows);
            Tensor lse = Tensor.zeros(arena, DType.F64, rows);
            Tensor ones = Tensor.zeros(arena, DType.F32, rows).fill(1);
            forward =
                    TokenLogprobs.of(logits.tensor(), labels)
                            .logp(Tensor.zeros(arena, DType.F32, rows))
                            .lse(lse);
            inPlace =
                    TokenLogprobsBackward.of(logits.tensor(), labels, lse).gradLogp(ones).inPlace();
            elsewhere =
                    TokenLogprobsBackward.of(logits.tensor(), labels, lse)
                            .gradLogp(ones)
                            .gradLogits(gradient.tensor());
        }

        /** The backward follows a forward of the same logits, which a step before may change. */
        double seconds(Step step) {
            if (step.isBackward()) {
                forward.run(cpu);
            }
            if (step == Step.FRESH) {
                gradient.forget();
            }
            return switch (step) {
                case READ -> Bandwidth.READ.seconds(logits.tensor().segment());
                case UPDATE -> Bandwidth.UPDATE.seconds(logits.tensor().segment());
                case FORWARD -> timed(() -> forward.run(cpu));
                case BOTH ->
                        timed(
                                () -> {
                                    forward.run(cpu);
                                    inPlace.run(cpu);
                                });
                case IN_PLACE -> timed(() -> inPlace.run(cpu));
                case WARM, FRESH -> timed(() -> elsewhere.run(cpu));
            };
        }

        private static double timed(Runnable run) {
            long start = System.nanoTime();
            run.run();
            return (System.nanoTime() - start) / 1e9;
        }

        @Override
        public void close() {
            logits.close();
            gradient.close();
        }
    }
}
