package dev.logratio;

import static dev.logratio.DivergenceRun.normal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.stream.Stream;

/** Agreement of two sets of logits, and figures of rows that follow from others. */
class AgreementTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    @ParameterizedTest
    @MethodSource("backends")
    void figuresOfAFewRows(Backend backend) {
        Tensor p = Tensor.of(DType.F32, new double[] {0, 0, 1, 2, Math.log(3), 0, 5, 5}, 4, 2);
        Tensor q = Tensor.of(DType.F32, new double[] {0, 0, 2, 3, 0, Math.log(3), 5, 5}, 4, 2);
        Agreement agreement = Agreement.of(p, q, backend);
        // Row 1 has a constant more; row 2 is (3/4, 1/4) beside (1/4, 3/4).
        double kl = .5 * Math.log(3);
        assertEquals(4, agreement.rows());
        assertEquals(kl, agreement.maxKl(), 1e-6);
        assertEquals(kl / 4, agreement.meanKl(), 1e-6);
        assertEquals(.5, agreement.maxTvd(), 1e-6);
        assertEquals(.125, agreement.meanTvd(), 1e-6);
        assertEquals(3, agreement.equalArgmax());
        assertEquals(2, agreement.equalRows());
        Agreement batched = Agreement.of(p.reshape(2, 2, 2), q.reshape(2, 2, 2), backend);
        assertEquals(agreement, batched);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void undefinedAndInfiniteRows(Backend backend) {
        double nan = Double.NaN;
        double low = Double.NEGATIVE_INFINITY;
        Tensor p = Tensor.of(DType.F32, new double[] {0, 1, nan, 0}, 2, 2);
        Agreement same = Agreement.of(p, p, backend);
        assertEquals(2, same.rows());
        assertTrue(Double.isNaN(same.maxKl()));
        assertTrue(Double.isNaN(same.meanTvd()));
        assertEquals(2, same.equalRows());
        assertEquals(2, same.equalArgmax());
        Agreement masked =
                Agreement.of(
                        Tensor.of(DType.F32, new double[] {0, 1}, 1, 2),
                        Tensor.of(DType.F32, new double[] {low, 1}, 1, 2),
                        backend);
        assertEquals(Double.POSITIVE_INFINITY, masked.maxKl());
        assertEquals(1 / (1 + Math.E), masked.maxTvd(), 1e-6);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void noRows(Backend backend) {
        Tensor none = Tensor.zeros(DType.F32, 0, 5);
        assertEquals(new Agreement(0, 0, 0, 0, 0, 0, 0), Agreement.of(none, none, backend));
        Tensor noBatch = Tensor.zeros(DType.F32, 0, 3, 5);
        assertEquals(new Agreement(0, 0, 0, 0, 0, 0, 0), Agreement.of(noBatch, noBatch, backend));
    }

    @Test
    void mistakesAreNamed() {
        Tensor p = Tensor.zeros(DType.F32, 2, 3);
        assertEquals(
                "q is F32 [2, 4], expected the shape and dtype of p, which is F32 [2, 3]",
                refusal(p, Tensor.zeros(DType.F32, 2, 4)));
        assertEquals(
                "q is BF16 [2, 3], expected the shape and dtype of p, which is F32 [2, 3]",
                refusal(p, Tensor.zeros(DType.BF16, 2, 3)));
        assertEquals(
                "p is F32 [3], expected shape [N,V] or [B,T,V]",
                refusal(Tensor.zeros(DType.F32, 3), p));
    }

    private static String refusal(Tensor p, Tensor q) {
        return assertThrows(
                        IllegalArgumentException.class,
                        () -> Agreement.of(p, q, Backend.reference()))
                .getMessage();
    }

    @ParameterizedTest
    @MethodSource("backends")
    void sumsOfSquaresFollowFromLogSums(Backend backend) {
        int columns = 123;
        Tensor logits = Tensor.of(DType.F32, normal(5, 3, 3 * columns), 3, columns);
        logits.setDouble(1000, 1, 7);
        Tensor lse = Tensor.zeros(DType.F64, 3);
        Tensor lse2 = Tensor.zeros(DType.F64, 3);
        TokenLogprobs.of(logits, Tensor.zeros(DType.I64, 3)).lse(lse).lse2(lse2).run(backend);
        double[] sums = RowFigures.sumsOfSquares(lse, lse2);
        for (int row = 0; row < 3; row++) {
            double[] x = logits.select(0, row).toDoubles();
            double largest = Arrays.stream(x).max().orElseThrow();
            double sum = Arrays.stream(x).map(z -> Math.exp(z - largest)).sum();
            double expected =
                    Arrays.stream(x).map(z -> Math.exp(z - largest) / sum).map(u -> u * u).sum();
            assertEquals(expected, sums[row], 1e-5 * expected);
            assertEquals(
                    sums[row], RowFigures.sumOfSquares(lse.getDouble(row), lse2.getDouble(row)));
        }
        assertEquals(1, sums[1], 1e-9);
        assertThrows(
                IllegalArgumentException.class,
                () -> RowFigures.sumsOfSquares(lse, Tensor.zeros(DType.F64, 2)));
    }
}
