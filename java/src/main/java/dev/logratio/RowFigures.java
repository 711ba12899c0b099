package dev.logratio;

import java.util.Arrays;
import java.util.Objects;

/**
 * Figures of a row of probabilities that follow from what {@link TokenLogprobs} gives, without
 * another pass over the logits.
 *
 * @since 0.1.0
 */
public final class RowFigures {
    private RowFigures() {}

    /**
     * The sum of the squared probabilities of a row, {@code sum p^2 = exp(lse2 - 2 lse)}: the
     * chance that two draws are the same token, and 1 over the effective number of tokens (order
     * 2). A certain row has 1, a uniform one 1/V.
     *
     * @param lse {@code log sum exp(z)}, of {@link TokenLogprobs#lse}; as F64, since its rounding
     *     is that of the result times 2 {@code |lse|}
     * @param lse2 {@code log sum exp(2z)}, of {@link TokenLogprobs#lse2}, as F64 too
     * @return in (0,1] but for rounding; NaN of a row that has none
     */
    public static double sumOfSquares(double lse, double lse2) {
        return Math.exp(lse2 - 2 * lse);
    }

    /**
     * The sums of the squared probabilities of rows, as {@link #sumOfSquares(double, double)}. The
     * tensors lie in host memory.
     *
     * @param lse [N] or [B,T] float, of {@link TokenLogprobs#lse}; best as F64
     * @param lse2 of the same shape, of {@link TokenLogprobs#lse2}
     * @return F64 values, in row-major order
     * @throws IllegalArgumentException if the shapes differ
     */
    public static double[] sumsOfSquares(Tensor lse, Tensor lse2) {
        Objects.requireNonNull(lse, "lse");
        Objects.requireNonNull(lse2, "lse2");
        if (!Arrays.equals(lse.shape(), lse2.shape())) {
            throw new IllegalArgumentException(
                    "lse2 is " + lse2 + ", expected the shape of lse, which is " + lse);
        }
        double[] sums = lse.toDoubles();
        double[] ofTwice = lse2.toDoubles();
        for (int i = 0; i < sums.length; i++) {
            sums[i] = sumOfSquares(sums[i], ofTwice[i]);
        }
        return sums;
    }
}
