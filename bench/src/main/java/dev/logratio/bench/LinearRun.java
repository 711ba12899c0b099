package dev.logratio.bench;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Frozen;
import dev.logratio.GemmInfo;
import dev.logratio.LinearOptions;
import dev.logratio.LinearPlan;
import dev.logratio.LinearPreferenceStep;
import dev.logratio.Logratio;
import dev.logratio.Tensor;
import dev.logratio.bench.report.LinearReport;
import dev.logratio.bench.report.LinearReport.Row;
import dev.logratio.bench.report.Machine;
import dev.logratio.bench.report.Median;
import dev.logratio.loss.Sigmoid;

import org.bytedeco.javacpp.PointerScope;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * linear_preference_step with each of its plans, beside plain products of the same library and
 * beside libtorch, in turn.
 */
final class LinearRun {
    /** What is timed, in this order within a round. */
    private enum Step {
        PRODUCTS("products alone", 6),
        FORWARD("no gradient", 2),
        FROZEN("weight frozen", 4),
        TRAINED("weight trained", 6),
        RECOMPUTED("weight trained, nothing kept", 8),
        MASKED("weight trained, half of the tokens", 3),
        LIBTORCH("libtorch", 6);

        private final String title;
        private final int operations; // over M*H*V, of which products are made alone

        Step(String title, int operations) {
            this.title = title;
            this.operations = operations;
        }

        boolean isOurs() {
            return this != PRODUCTS && this != LIBTORCH;
        }
    }

    private static final int PAIRS = 4;
    private static final int TOKENS = 256;
    private static final int SIZE = 1024;
    private static final int ROUNDS = 3;
    private static final double SPREAD = .05;
    private static final DType[] TYPES = {DType.F32, DType.BF16};
    private static final Path STATUS = Path.of("/proc/self/status");
    private static final Path CLEAR = Path.of("/proc/self/clear_refs");
    private static final String RESTART_PEAK = "5";

    private final Progress progress;

    LinearRun(Progress progress) {
        this.progress = progress;
    }

    static int steps() {
        return TYPES.length * (ROUNDS + 1);
    }

    LinearReport run() throws IOException {
        Torch.threads(Logratio.threads());
        List<Row> rows = new ArrayList<>();
        for (DType dtype : TYPES) {
            try (Arena arena = Arena.ofShared()) {
                rows.addAll(new Batch(arena, dtype).measure());
            }
        }
        return new LinearReport(
                Machine.current(SystemFiles.device()),
                Logratio.gemm().library(),
                PAIRS,
                TOKENS,
                SIZE,
                Cases.LARGE_VOCABULARY,
                rows);
    }

    /** Tensors of one dtype, and the calls on them. */
    private final class Batch {
        private final Backend cpu = Backend.cpu();
        private final DType dtype;
        private final DType product; // of the factors
        private final PlainGemm gemm;
        private final Tensor hidden;
        private final Tensor weight;
        private final Tensor labels;
        private final Tensor reference;
        private final Tensor half;
        private final Tensor logits; // of the products alone
        private final Tensor gradLogits;
        private final Tensor sums; // [V,H] F32
        private final Tensor hiddenSums;
        private final Tensor gradHidden;
        private final Tensor gradWeight;
        private final Map<Step, LinearPreferenceStep> calls = new EnumMap<>(Step.class);

        Batch(Arena arena, DType dtype) {
            this.dtype = dtype;
            GemmInfo library = Logratio.gemm();
            product = dtype == DType.BF16 && library.bfloat16() ? DType.BF16 : DType.F32;
            gemm = PlainGemm.of(arena, library, product);
            int rows = 2 * PAIRS * TOKENS;
            int columns = Cases.LARGE_VOCABULARY;
            hidden = Tensor.zeros(arena, dtype, 2 * PAIRS, TOKENS, SIZE);
            weight = Tensor.zeros(arena, dtype, columns, SIZE);
            new Inputs.LogitRows(arena, dtype, SIZE, 1).fill(hidden);
            new Inputs.LogitRows(arena, dtype, SIZE, SPREAD).fill(weight);
            labels = Inputs.labels(arena, columns, 2 * PAIRS, TOKENS);
            reference = Tensor.zeros(arena, DType.F32, 2 * PAIRS).fill(-12.0 * TOKENS);
            half = Tensor.zeros(arena, DType.U8, 2 * PAIRS, TOKENS);
            half.slice(1, 0, TOKENS / 2).fill(1);
            logits = Tensor.zeros(arena, DType.F32, rows, columns);
            gradLogits =
                    product == DType.F32 ? logits : Tensor.zeros(arena, product, rows, columns);
            hiddenSums = Tensor.zeros(arena, DType.F32, rows, SIZE);
            sums = Tensor.zeros(arena, DType.F32, columns, SIZE);
            gradHidden = Tensor.zeros(arena, dtype, 2 * PAIRS, TOKENS, SIZE);
            gradWeight = dtype == DType.F32 ? sums : Tensor.zeros(arena, dtype, columns, SIZE);
            long row = (long) columns * Float.BYTES;
            calls.put(Step.FORWARD, call());
            calls.put(
                    Step.FROZEN,
                    call().linearOptions(LinearOptions.DEFAULT.withFrozen(Frozen.WEIGHT))
                            .gradHidden(gradHidden));
            calls.put(Step.TRAINED, trained());
            calls.put(
                    Step.RECOMPUTED,
                    trained().linearOptions(LinearOptions.DEFAULT.withBudgetBytes(row)));
            calls.put(Step.MASKED, trained().mask(half));
        }

        private LinearPreferenceStep call() {
            return LinearPreferenceStep.of(new Sigmoid(), hidden, weight, labels)
                    .referenceLogps(reference);
        }

        private LinearPreferenceStep trained() {
            return call().gradHidden(gradHidden).gradWeight(gradWeight);
        }

        List<Row> measure() throws IOException {
            double[][] seconds = new double[Step.values().length][ROUNDS];
            double[] megabytes = new double[Step.values().length];
            for (int round = -1; round < ROUNDS; round++) {
                progress.begin(dtype + (round < 0 ? " warm-up" : " round " + (round + 1)));
                for (Step step : Step.values()) {
                    if (round < 0 && step != Step.PRODUCTS) {
                        megabytes[step.ordinal()] = growth(step);
                    } else if (round < 0) {
                        products();
                    } else {
                        seconds[step.ordinal()][round] = seconds(step);
                    }
                }
                progress.finished("");
            }
            return IntStream.range(0, Step.values().length)
                    .mapToObj(k -> row(Step.values()[k], seconds, megabytes[k]))
                    .toList();
        }

        private Row row(Step step, double[][] seconds, double megabytes) {
            double[] own = seconds[step.ordinal()];
            LinearPlan plan = step.isOurs() ? calls.get(step).plan() : null;
            return new Row(
                    dtype.toString(),
                    step.title,
                    Median.of(own),
                    ratio(own, seconds[Step.PRODUCTS.ordinal()]) * 6 / step.operations,
                    ratio(own, seconds[Step.LIBTORCH.ordinal()]),
                    ratio(own, seconds[Step.TRAINED.ordinal()]),
                    plan == null ? null : plan.operations(),
                    step == Step.PRODUCTS ? null : megabytes);
        }

        /** Products of fixed shapes take a third of the time each, so that 2, 4 and 8 are known. */
        private void products() {
            Tensor rows = hidden.reshape(2L * PAIRS * TOKENS, SIZE);
            Tensor x = dtype == product ? rows : hiddenSums;
            Tensor w = dtype == product ? weight : sums;
            gemm.multiply(x, false, w, true, logits);
            gemm.multiply(gradLogits, false, w, false, hiddenSums);
            gemm.multiply(gradLogits, true, x, false, sums);
        }

        private double seconds(Step step) {
            long start = System.nanoTime();
            run(step);
            return (System.nanoTime() - start) / 1e9;
        }

        private void run(Step step) {
            switch (step) {
                case PRODUCTS -> products();
                case LIBTORCH -> libtorch();
                default -> calls.get(step).run(cpu);
            }
        }

        /** How much larger a run makes the process, in MB. */
        private double growth(Step step) throws IOException {
            Files.writeString(CLEAR, RESTART_PEAK);
            long before = SystemFiles.kibibytes(STATUS, "VmRSS");
            run(step);
            return (SystemFiles.kibibytes(STATUS, "VmHWM") - before) / 1e6;
        }

        /** matmul, log_softmax, gather, sum, -log sigmoid, backward. */
        private void libtorch() {
            try (PointerScope scope = new PointerScope()) {
                var x = Torch.leaf(Torch.view(hidden));
                var w = Torch.leaf(Torch.view(weight));
                var logps = TorchFormulas.tokenLogps(x.matmul(w.t()), Torch.view(labels)).sum(1);
                var expected = Torch.view(reference);
                var rho =
                        TorchFormulas.logRatio(
                                logps.narrow(0, 0, PAIRS),
                                logps.narrow(0, PAIRS, PAIRS),
                                expected.narrow(0, 0, PAIRS),
                                expected.narrow(0, PAIRS, PAIRS));
                TorchFormulas.sigmoid(rho, beta(), 0).mean().backward();
            }
        }

        private org.bytedeco.pytorch.Tensor beta() {
            return Torch.view(Tensor.of(DType.F32, new double[] {new Sigmoid().beta()}, 1));
        }
    }

    private static double ratio(double[] above, double[] below) {
        return Median.of(
                IntStream.range(0, above.length).mapToDouble(i -> above[i] / below[i]).toArray());
    }
}
