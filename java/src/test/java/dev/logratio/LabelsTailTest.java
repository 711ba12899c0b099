package dev.logratio;

import static dev.logratio.LabelsRow.INFINITY;
import static dev.logratio.LabelsRow.filled;
import static dev.logratio.LabelsRow.rounded;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.LabelsRun.Upstream;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.stream.Stream;

/** Both ends of the tail that several labels leave: nearly nothing, and nearly all. */
class LabelsTailTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    @ParameterizedTest
    @MethodSource("backends")
    void tailNearZero(Backend backend) {
        for (double away : new double[] {5, 20, 40, 80}) {
            double[] logits = {0, 1, -.5, -away, -away - 1, 0};
            long[] labels = {3, 4};
            LabelsRow row = new LabelsRow(rounded(logits), labels, TokenOptions.DEFAULT);
            try (Arena arena = Arena.ofConfined()) {
                LabelsRun run =
                        LabelsRun.run(
                                backend,
                                Tensor.of(arena, DType.F32, logits, 1, 6),
                                Tensor.of(arena, labels, 1, 2),
                                TokenOptions.DEFAULT,
                                new Upstream(null, null, null, filled(1, 1)));
                assertTrue(row.tail < 0 && row.tail > -.01);
                Expect.near("tail", filled(row.tail, 1), run.tail(), 1e-5, 0);
                double held = row.p[3] + row.p[4];
                double[] expected = new double[6];
                Arrays.setAll(
                        expected, k -> k == 3 || k == 4 ? -row.p[k] : row.p[k] * held / (1 - held));
                Expect.near("gradient", expected, run.gradient(), 2e-5, 1e-6);
            }
        }
    }

    /** The others are far below: of each other, and of the labels. */
    @ParameterizedTest
    @MethodSource("backends")
    void tailFarBelow(Backend backend) {
        for (double away : new double[] {3, 15, 60, 300, 2000}) {
            for (int columns : new int[] {11, 3000, 40_000}) {
                double[] logits = filled(-away - 40, columns);
                long[] labels = {4, columns - 1};
                logits[4] = 1;
                logits[columns - 1] = 2;
                logits[0] = -away;
                logits[columns / 2] = -away - 1;
                double lse = 2 + Math.log1p(Math.exp(-1));
                double others = Math.log1p(Math.exp(-1) + (columns - 4) * Math.exp(-40));
                double tail = -away + others - (lse + Math.log1p(Math.exp(-away - lse + others)));
                try (Arena arena = Arena.ofShared()) {
                    LabelsRun run =
                            LabelsRun.run(
                                    backend,
                                    Tensor.of(arena, DType.F32, logits, 1, columns),
                                    Tensor.of(arena, labels, 1, 2),
                                    TokenOptions.DEFAULT,
                                    new Upstream(null, null, null, filled(2, 1)));
                    String what = away + " of " + columns;
                    Expect.near(what, filled(tail, 1), run.tail(), 2e-6, 0);
                    double left = -Math.expm1(tail);
                    double share = 1 / (1 + Math.exp(-1));
                    assertEquals(2 * share * left, run.gradient()[0], 1e-4, what);
                    assertEquals(2 * (1 - share) * left, run.gradient()[columns / 2], 1e-4, what);
                    assertEquals(-2 * share * left, run.gradient()[columns - 1], 1e-4, what);
                    assertEquals(-2 * (1 - share) * left, run.gradient()[4], 1e-4, what);
                }
            }
        }
    }

    /** All columns are labels, or what is no label is impossible: grad_tail is not used. */
    @ParameterizedTest
    @MethodSource("backends")
    void nothingLeft(Backend backend) {
        double[] all = {1, 0, 2};
        double[] masked = {1, -INFINITY, 0, 2, -INFINITY};
        for (double[] logits : new double[][] {all, masked}) {
            try (Arena arena = Arena.ofConfined()) {
                long last = logits.length == 3 ? 1 : 2;
                long[] labels = {0, last, logits.length == 3 ? 2 : 3};
                LabelsRun run =
                        LabelsRun.run(
                                backend,
                                Tensor.of(arena, DType.F32, logits, 1, logits.length),
                                Tensor.of(arena, labels, 1, 3),
                                TokenOptions.DEFAULT,
                                new Upstream(new double[] {1, 0, 0}, null, null, filled(5, 1)));
                assertEquals(-INFINITY, run.tail()[0]);
                LabelsRow row = new LabelsRow(logits, labels, TokenOptions.DEFAULT);
                Expect.asPromised(
                        "gradient",
                        DType.F32,
                        row.gradient(labels, new double[] {1, 0, 0}, 0, 0, 0),
                        run.gradient());
            }
        }
    }

    /** A tail and an lse of few digits are found again where they do not serve. */
    @ParameterizedTest
    @MethodSource("backends")
    void roundedTails(Backend backend) {
        double[] logits = {3, 300, -500, 299, -501, -502};
        long[] labels = {1, 3, 0};
        LabelsRow row =
                new LabelsRow(
                        Arrays.stream(logits).map(x -> x - 300).toArray(),
                        labels,
                        TokenOptions.DEFAULT);
        try (Arena arena = Arena.ofConfined()) {
            Tensor rows = Tensor.of(arena, DType.F32, logits, 1, 6);
            Tensor ofRow = Tensor.of(arena, labels, 1, 3);
            Tensor lse = Tensor.zeros(arena, DType.BF16, 1);
            Tensor tail = Tensor.zeros(arena, DType.BF16, 1);
            TokenLogprobs.of(rows, ofRow).lse(lse).tail(tail).run(backend);
            TokenLogprobsBackward.of(rows, ofRow, lse)
                    .tail(tail)
                    .gradTail(Tensor.of(arena, DType.F32, new double[] {1}, 1))
                    .inPlace()
                    .run(backend);
            double sum = 1 + Math.exp(-1) + Math.exp(-2);
            Expect.near(
                    "gradient",
                    new double[] {
                        -row.p[0],
                        -row.p[1],
                        1 / sum,
                        -row.p[3],
                        Math.exp(-1) / sum,
                        Math.exp(-2) / sum
                    },
                    rows.toDoubles(),
                    1e-5,
                    1e-6);
        }
    }
}
