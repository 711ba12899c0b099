package dev.logratio;

import static dev.logratio.LinearStepRun.normal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;

/**
 * {@code linear_token_logprobs} beside its twin of the reference on logits that plain loops make in
 * float64, and what non-finite numbers do.
 */
class LinearTokensTest {
    private static final int ROWS = 9;
    private static final int VOCABULARY = 23;
    private static final int SIZE = 7;
    private static final int IGNORED = 4;

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** Inputs, with one row ignored. */
    private static final class Rows {
        final Arena arena;
        final Tensor hidden;
        final Tensor weight;
        final Tensor bias;
        final Tensor labels;
        final Tensor[] upstreams = new Tensor[3];

        Rows(Arena arena, DType dtype, long... shape) {
            this.arena = arena;
            Random random = new Random(3);
            long[] withSize = Arrays.copyOf(shape, shape.length + 1);
            withSize[shape.length] = SIZE;
            hidden = normal(arena, random, dtype, 1, withSize);
            weight = normal(arena, random, dtype, 1, VOCABULARY, SIZE);
            bias = normal(arena, random, dtype, 1, VOCABULARY);
            labels = Tensor.zeros(arena, DType.I64, shape);
            Tensor flat = labels.reshape(labels.elementCount());
            for (int n = 0; n < flat.elementCount(); n++) {
                flat.setLong(n == IGNORED ? -100 : random.nextInt(VOCABULARY), n);
            }
            for (int i = 0; i < upstreams.length; i++) {
                upstreams[i] = normal(arena, random, DType.F32, 1, shape);
            }
        }

        LinearTwin head() {
            return new LinearTwin(hidden, weight, bias);
        }

        Tensor[] figures() {
            Tensor[] out = new Tensor[6];
            Arrays.setAll(out, _ -> Tensor.zeros(arena, DType.F64, labels.shape()));
            out[5] = Tensor.zeros(arena, DType.I64, labels.shape());
            return out;
        }
    }

    private static LinearTokenLogprobs call(Rows rows, Tensor[] out, TokenOptions options) {
        return LinearTokenLogprobs.of(rows.hidden, rows.weight, rows.labels)
                .bias(rows.bias)
                .tokenOptions(options)
                .logp(out[0])
                .lse(out[1])
                .lse2(out[2])
                .entropy(out[3])
                .meanLogit(out[4])
                .argmax(out[5]);
    }

    private static Tensor[] twin(Rows rows, Tensor logits, TokenOptions options) {
        Tensor[] out = rows.figures();
        TokenLogprobs.of(logits, rows.labels)
                .tokenOptions(options)
                .logp(out[0])
                .lse(out[1])
                .lse2(out[2])
                .entropy(out[3])
                .meanLogit(out[4])
                .argmax(out[5])
                .run(Backend.reference());
        return out;
    }

    private static LinearTwin.Gradients twinGradients(
            Rows rows, Tensor logits, Tensor[] figures, int upstreams, TokenOptions options) {
        Tensor gradLogits = Tensor.zeros(rows.arena, DType.F64, logits.shape());
        TokenLogprobsBackward backward =
                TokenLogprobsBackward.of(logits, rows.labels, figures[1])
                        .tokenOptions(options)
                        .entropy(figures[3])
                        .gradLogits(gradLogits);
        if ((upstreams & 1) != 0) {
            backward.gradLogp(rows.upstreams[0]);
        }
        if ((upstreams & 2) != 0) {
            backward.gradEntropy(rows.upstreams[1]);
        }
        if ((upstreams & 4) != 0) {
            backward.gradLse(rows.upstreams[2]);
        }
        backward.run(Backend.reference());
        return rows.head().gradients(gradLogits, VOCABULARY);
    }

    private static void upstreams(LinearTokenLogprobs call, Rows rows, int upstreams) {
        call.gradLogp((upstreams & 1) == 0 ? null : rows.upstreams[0])
                .gradEntropy((upstreams & 2) == 0 ? null : rows.upstreams[1])
                .gradLse((upstreams & 4) == 0 ? null : rows.upstreams[2]);
    }

    // ---- Figures and gradients ----

    static Stream<Arguments> types() {
        return TestBackends.all()
                .flatMap(
                        backend ->
                                Stream.of(DType.F32, DType.BF16, DType.F16)
                                        .map(dtype -> arguments(backend, dtype)));
    }

    @ParameterizedTest
    @MethodSource("types")
    void figuresAndGradients(Backend backend, DType dtype) {
        for (TokenOptions options :
                List.of(
                        TokenOptions.DEFAULT,
                        TokenOptions.DEFAULT.withTemperature(.6),
                        TokenOptions.DEFAULT.withSoftcap(2).withTemperature(1.5))) {
            for (int upstreams = 1; upstreams < 8; upstreams++) {
                for (Frozen frozen : Frozen.values()) {
                    try (Arena arena = Arena.ofConfined()) {
                        compare(backend, new Rows(arena, dtype, 3, 3), options, upstreams, frozen);
                    }
                }
            }
        }
    }

    private static void compare(
            Backend backend, Rows rows, TokenOptions options, int upstreams, Frozen frozen) {
        Tensor logits = rows.head().logits(rows.arena);
        Tensor[] expected = twin(rows, logits, options);
        Tensor[] actual = rows.figures();
        DType dtype = rows.hidden.dtype();
        Tensor gradHidden = Tensor.zeros(rows.arena, dtype, rows.hidden.shape()).fill(-7);
        Tensor gradWeight = Tensor.zeros(rows.arena, DType.F32, rows.weight.shape()).fill(-7);
        Tensor gradBias = Tensor.zeros(rows.arena, DType.F32, rows.bias.shape()).fill(-7);
        LinearTokenLogprobs call =
                call(rows, actual, options)
                        .linearOptions(LinearOptions.DEFAULT.withFrozen(frozen))
                        .gradHidden(frozen == Frozen.HIDDEN ? null : gradHidden)
                        .gradWeight(frozen == Frozen.WEIGHT ? null : gradWeight)
                        .gradBias(frozen == Frozen.WEIGHT ? null : gradBias);
        upstreams(call, rows, upstreams);
        call.run(backend);
        String what = options + " upstreams " + upstreams + " " + frozen;
        for (int i = 0; i < 5; i++) {
            Expect.asPromised(
                    what + " figure " + i,
                    DType.F32,
                    expected[i].toDoubles(),
                    actual[i].toDoubles());
        }
        assertArrayEquals(expected[5].toLongs(), actual[5].toLongs(), what);
        LinearTwin.Gradients gradients = twinGradients(rows, logits, expected, upstreams, options);
        if (frozen != Frozen.HIDDEN) {
            LinearTwin.expect(what, dtype, gradients.hidden(), gradHidden.toDoubles());
            for (double value : gradHidden.reshape(ROWS, SIZE).select(0, IGNORED).toDoubles()) {
                assertEquals(0, value, "an ignored row");
            }
        }
        if (frozen != Frozen.WEIGHT) {
            LinearTwin.expect(what, dtype, gradients.weight(), gradWeight.toDoubles());
            LinearTwin.expect(what, dtype, gradients.bias(), gradBias.toDoubles());
        }
    }

    /** Differences of one sum of log-probs, entropies and log-sum-exps. */
    @ParameterizedTest
    @MethodSource("backends")
    void gradientsAreSlopes(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Rows rows = new Rows(arena, DType.F32, ROWS);
            Tensor gradHidden = Tensor.zeros(arena, DType.F32, ROWS, SIZE);
            Tensor gradWeight = Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE);
            LinearTokenLogprobs call =
                    LinearTokenLogprobs.of(rows.hidden, rows.weight, rows.labels)
                            .bias(rows.bias)
                            .gradHidden(gradHidden)
                            .gradWeight(gradWeight);
            upstreams(call, rows, 7);
            call.run(backend);
            double[] x = rows.hidden.toDoubles();
            double[] w = rows.weight.toDoubles();
            ToDoubleFunction<double[]> ofHidden = at -> value(rows, at, w);
            ToDoubleFunction<double[]> ofWeight = at -> value(rows, x, at);
            LinearTwin.expect(
                    "hidden",
                    DType.F32,
                    FiniteDifference.gradient(ofHidden, x, 1e-3),
                    gradHidden.toDoubles());
            LinearTwin.expect(
                    "weight",
                    DType.F32,
                    FiniteDifference.gradient(ofWeight, w, 1e-3),
                    gradWeight.toDoubles());
        }
    }

    private static double value(Rows rows, double[] hidden, double[] weight) {
        try (Arena arena = Arena.ofConfined()) {
            LinearTwin head =
                    new LinearTwin(
                            Tensor.of(arena, DType.F64, hidden, ROWS, SIZE),
                            Tensor.of(arena, DType.F64, weight, VOCABULARY, SIZE),
                            rows.bias);
            Tensor[] figures = twin(rows, head.logits(arena), TokenOptions.DEFAULT);
            double sum = 0;
            for (int n = 0; n < ROWS; n++) {
                if (n != IGNORED) {
                    sum += rows.upstreams[0].getDouble(n) * figures[0].getDouble(n);
                    sum += rows.upstreams[1].getDouble(n) * figures[3].getDouble(n);
                    sum += rows.upstreams[2].getDouble(n) * figures[1].getDouble(n);
                }
            }
            return sum;
        }
    }

    // ---- Numbers that are not finite ----

    /** A bias of -inf takes a column out: probability 0, gradient 0. */
    @ParameterizedTest
    @MethodSource("types")
    void columnsThatABiasTakesOut(Backend backend, DType dtype) {
        for (Frozen frozen : Frozen.values()) {
            try (Arena arena = Arena.ofConfined()) {
                Rows rows = new Rows(arena, dtype, ROWS);
                for (int v : new int[] {0, 5, VOCABULARY - 1}) {
                    rows.bias.setDouble(Double.NEGATIVE_INFINITY, v);
                }
                for (int n = 0; n < ROWS; n++) {
                    rows.labels.setLong(n == IGNORED ? -100 : 6 + n, n);
                }
                compare(backend, rows, TokenOptions.DEFAULT.withSoftcap(4), 7, frozen);
            }
        }
    }

    /** A hidden state that is not finite gives NaN in its own row alone, and in sums over rows. */
    @ParameterizedTest
    @MethodSource("types")
    void rowsThatAreNotFinite(Backend backend, DType dtype) {
        for (double value : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
            try (Arena arena = Arena.ofConfined()) {
                Rows rows = new Rows(arena, dtype, ROWS);
                Tensor clean = Tensor.zeros(arena, dtype, ROWS, SIZE);
                runOnHidden(backend, rows, clean, Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE));
                int bad = 2;
                rows.hidden.setDouble(value, bad, 3);
                Tensor gradHidden = Tensor.zeros(arena, dtype, ROWS, SIZE);
                Tensor gradWeight = Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE);
                Tensor[] figures = runOnHidden(backend, rows, gradHidden, gradWeight);
                for (int n = 0; n < ROWS; n++) {
                    assertEquals(n == bad, Double.isNaN(figures[0].getDouble(n)), "logp " + n);
                    assertEquals(n == bad, Double.isNaN(figures[3].getDouble(n)), "entropy " + n);
                    double[] row = gradHidden.select(0, n).toDoubles();
                    if (n == bad) {
                        assertTrue(Arrays.stream(row).allMatch(Double::isNaN), "gradient " + n);
                    } else {
                        assertArrayEquals(clean.select(0, n).toDoubles(), row, "gradient " + n);
                    }
                }
                assertTrue(Arrays.stream(gradWeight.toDoubles()).allMatch(Double::isNaN));
            }
        }
    }

    private static Tensor[] runOnHidden(
            Backend backend, Rows rows, Tensor gradHidden, Tensor gradWeight) {
        Tensor[] figures = rows.figures();
        LinearTokenLogprobs call =
                call(rows, figures, TokenOptions.DEFAULT)
                        .gradHidden(gradHidden)
                        .gradWeight(gradWeight);
        upstreams(call, rows, 7);
        call.run(backend);
        return figures;
    }

    /** An ignored row is not read where its log-prob alone is wanted. */
    @ParameterizedTest
    @MethodSource("backends")
    void ignoredRowsAreNotRead(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Rows rows = new Rows(arena, DType.F32, ROWS);
            rows.hidden.select(0, IGNORED).fill(Double.NaN);
            Tensor logp = Tensor.zeros(arena, DType.F64, ROWS);
            Tensor gradHidden = Tensor.zeros(arena, DType.F32, ROWS, SIZE);
            Tensor gradWeight = Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE);
            LinearTokenLogprobs call =
                    LinearTokenLogprobs.of(rows.hidden, rows.weight, rows.labels)
                            .logp(logp)
                            .gradHidden(gradHidden)
                            .gradWeight(gradWeight);
            upstreams(call, rows, 1);
            call.run(backend);
            assertEquals(0, logp.getDouble(IGNORED));
            for (Tensor tensor : List.of(logp, gradHidden, gradWeight)) {
                assertFalse(Arrays.stream(tensor.toDoubles()).anyMatch(Double::isNaN));
            }
        }
    }

    /** Rows of any stride, as {@code hidden[:, :-1]} of a batch is. */
    @ParameterizedTest
    @MethodSource("backends")
    void stridedRows(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Rows rows = new Rows(arena, DType.F32, 3, 3);
            Tensor wide = Tensor.zeros(arena, DType.F32, 3, 4, SIZE + 2).fill(Double.NaN);
            Tensor hidden = wide.slice(1, 0, 3).slice(2, 0, SIZE).copyFrom(rows.hidden);
            Tensor wideWeight = Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE + 3);
            Tensor weight = wideWeight.slice(1, 0, SIZE).copyFrom(rows.weight);
            Tensor[] dense = {
                Tensor.zeros(arena, DType.F32, 3, 3, SIZE),
                Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE)
            };
            Tensor out = Tensor.zeros(arena, DType.F32, 3, 5, SIZE + 1);
            Tensor outWeight = Tensor.zeros(arena, DType.F32, VOCABULARY, SIZE + 1).fill(-7);
            Tensor[] strided = {out.slice(1, 1, 4).slice(2, 0, SIZE), outWeight.slice(1, 0, SIZE)};
            for (Tensor[] outputs : List.of(dense, strided)) {
                LinearTokenLogprobs call =
                        LinearTokenLogprobs.of(
                                        outputs == dense ? rows.hidden : hidden,
                                        outputs == dense ? rows.weight : weight,
                                        rows.labels)
                                .gradHidden(outputs[0])
                                .gradWeight(outputs[1]);
                upstreams(call, rows, 7);
                call.run(backend);
            }
            assertArrayEquals(dense[0].toDoubles(), strided[0].toDoubles());
            assertArrayEquals(dense[1].toDoubles(), strided[1].toDoubles());
            for (double value : outWeight.select(1, SIZE).toDoubles()) {
                assertEquals(-7, value, "what lies between the rows stays");
            }
        }
    }
}
