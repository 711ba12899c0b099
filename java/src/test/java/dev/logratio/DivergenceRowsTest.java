package dev.logratio;

import static dev.logratio.DivergenceRun.normal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.DivergenceOptions.Reduction;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.stream.Stream;

/**
 * Divergences of chosen and weighted rows, of weights in place of logits, in place, and of no rows.
 */
class DivergenceRowsTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    @ParameterizedTest
    @MethodSource("dev.logratio.DivergenceRun#backendsAndKinds")
    void rowsWeightsUpstreamAndReduction(Backend backend, DivergenceKind kind) {
        int columns = 41;
        Tensor p = Tensor.of(DType.F32, normal(1, 2, 4 * columns), 4, columns);
        Tensor q = Tensor.of(DType.F32, normal(2, 2, 3 * columns), 3, columns);
        Tensor pRows = Tensor.of(new long[] {3, 1}, 2);
        Tensor qRows = Tensor.of(new long[] {0, 2}, 2);
        Tensor weights = Tensor.of(DType.F32, new double[] {1, 3}, 2);
        Tensor upstream = Tensor.of(DType.F64, new double[] {-2}, 1);
        DivergenceOptions options = DivergenceOptions.of(kind);
        DivergenceRun mean =
                new DivergenceRun(
                        backend,
                        p,
                        q,
                        options,
                        2,
                        call -> call.rows(pRows, qRows).rowWeights(weights).gradLoss(upstream));
        DivergenceRun sum =
                new DivergenceRun(
                        backend,
                        p,
                        q,
                        options.withReduction(Reduction.SUM),
                        2,
                        call -> call.rows(pRows, qRows).rowWeights(weights));
        assertEquals((mean.values[0] + 3 * mean.values[1]) / 4, mean.loss, 1e-9);
        assertEquals(mean.values[0] + 3 * mean.values[1], sum.loss, 1e-9);
        for (int k = 0; k < 2; k++) {
            int row = (int) pRows.getLong(k);
            int other = (int) qRows.getLong(k);
            DivergenceRun alone =
                    new DivergenceRun(
                            backend,
                            p.slice(0, row, row + 1),
                            q.slice(0, other, other + 1),
                            options);
            assertEquals(alone.values[0], mean.values[k], 1e-12);
            double weight = weights.getDouble(k);
            double[] expected = Arrays.stream(alone.ofP).map(g -> -2 * weight / 4 * g).toArray();
            Expect.near(
                    "d p",
                    expected,
                    Arrays.copyOfRange(mean.ofP, row * columns, (row + 1) * columns),
                    1e-6,
                    1e-6);
            double[] summed = Arrays.stream(alone.ofQ).map(g -> weight * g).toArray();
            Expect.near(
                    "d q",
                    summed,
                    Arrays.copyOfRange(sum.ofQ, other * columns, (other + 1) * columns),
                    1e-6,
                    1e-6);
        }
        assertArrayEquals(new double[columns], Arrays.copyOfRange(mean.ofP, 0, columns));
        assertArrayEquals(new double[columns], Arrays.copyOfRange(mean.ofQ, columns, 2 * columns));
    }

    @ParameterizedTest
    @MethodSource("dev.logratio.DivergenceRun#backendsAndKinds")
    void weightsAreWhatTheirLogarithmsAreAsLogits(Backend backend, DivergenceKind kind) {
        int columns = 123;
        double[] logs = normal(7, 1, columns);
        Tensor p = Tensor.of(DType.F32, normal(8, 2, columns), 1, columns);
        Tensor weights =
                Tensor.of(DType.F32, Arrays.stream(logs).map(Math::exp).toArray(), 1, columns);
        Tensor same =
                Tensor.of(
                        DType.F64,
                        Arrays.stream(weights.toDoubles()).map(Math::log).toArray(),
                        1,
                        columns);
        Tensor wide = Tensor.of(DType.F64, p.toDoubles(), 1, columns);
        DivergenceRun expected =
                new DivergenceRun(Backend.reference(), wide, same, DivergenceOptions.of(kind));
        Tensor values = Tensor.zeros(DType.F64, 1);
        Tensor gradient = Tensor.zeros(DType.F32, 1, columns);
        Divergence.ofWeights(p, weights)
                .options(DivergenceOptions.of(kind))
                .values(values)
                .gradP(gradient)
                .run(backend);
        Expect.near("value", expected.values, values.toDoubles(), 2e-5, 0);
        Expect.near("d p", expected.ofP, gradient.toDoubles(), 2e-5, 3e-6);
    }

    @ParameterizedTest
    @MethodSource("dev.logratio.DivergenceRun#backendsAndKinds")
    void inPlace(Backend backend, DivergenceKind kind) {
        Tensor p = Tensor.of(DType.F32, normal(1, 2, 123), 1, 123);
        Tensor q = Tensor.of(DType.F32, normal(2, 2, 123), 1, 123);
        DivergenceRun apart = new DivergenceRun(backend, p, q, DivergenceOptions.of(kind));
        Divergence.of(p, q).options(DivergenceOptions.of(kind)).gradP(p).gradQ(q).run(backend);
        assertArrayEquals(apart.ofP, p.toDoubles());
        assertArrayEquals(apart.ofQ, q.toDoubles());
    }

    @ParameterizedTest
    @MethodSource("backends")
    void noWeightAndNoRows(Backend backend) {
        Tensor p = Tensor.of(DType.F32, normal(1, 2, 82), 2, 41);
        DivergenceRun none =
                new DivergenceRun(
                        backend,
                        p,
                        p,
                        DivergenceOptions.DEFAULT,
                        2,
                        call -> call.rowWeights(Tensor.zeros(DType.F32, 2)));
        assertEquals(0, none.loss);
        assertArrayEquals(new double[82], none.ofP);
        assertTrue(none.values[1] > 0);
        Tensor rows = Tensor.zeros(DType.I64, 0);
        DivergenceRun empty =
                new DivergenceRun(
                        backend, p, p, DivergenceOptions.DEFAULT, 0, call -> call.rows(rows, rows));
        assertEquals(0, empty.loss);
        assertArrayEquals(new double[82], empty.ofQ);
    }
}
