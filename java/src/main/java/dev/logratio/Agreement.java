package dev.logratio;

import dev.logratio.internal.tensor.StridedTensor;

import java.lang.foreign.Arena;
import java.util.Objects;

/**
 * How far two sets of logits agree over whole distributions, as those of a trainer and of the
 * server that samples for it should: a wrong mask, position or temperature shows here long before
 * it shows in a loss.
 *
 * <p>A row that has no distribution on either side (all -inf, or with +inf or NaN) makes the maxima
 * and means NaN; it still counts in {@link #equalRows} if its bits are equal. Of no rows, all
 * figures are 0.
 *
 * @param rows how many rows were compared
 * @param maxKl the largest {@code KL(p,q)} of a row, in nats; +inf where a column has a probability
 *     in {@code p} alone
 * @param meanKl the mean of {@code KL(p,q)}
 * @param maxTvd the largest total variation {@code sum |p-q| / 2} of a row, in [0,1]
 * @param meanTvd the mean total variation
 * @param equalArgmax rows whose largest logit is in the same column (the lowest on ties, a NaN
 *     counting as the largest)
 * @param equalRows rows whose logits are equal bit for bit; a constant added to all of a row makes
 *     them differ, while it changes no probability
 * @since 0.1.0
 */
public record Agreement(
        long rows,
        double maxKl,
        double meanKl,
        double maxTvd,
        double meanTvd,
        long equalArgmax,
        long equalRows) {

    /**
     * Compares rows of logits with rows of logits. Both lie in host memory; each is read three
     * times.
     *
     * @param p [N,V] or [B,T,V] float with contiguous rows, say the trainer's; F64 on the reference
     *     only
     * @param q of the same shape and dtype, say the server's
     * @param backend computes
     * @return the figures over all rows
     * @throws IllegalArgumentException if shape or dtype are wrong; the message names the tensor
     * @throws IllegalStateException if a tensor is closed
     */
    public static Agreement of(Tensor p, Tensor q, Backend backend) {
        require("p", p);
        require("q", q);
        Objects.requireNonNull(backend, "backend");
        if (q.rank() != p.rank() || q.dtype() != p.dtype() || !sameSizes(p, q)) {
            throw new IllegalArgumentException(
                    "q is " + q + ", expected the shape and dtype of p, which is " + p);
        }
        Sums sums = new Sums();
        if (p.rank() == 2) {
            sums.add(p, q, backend);
        } else {
            for (long b = 0; b < p.size(0); b++) {
                sums.add(p.select(0, b), q.select(0, b), backend);
            }
        }
        return sums.agreement();
    }

    private static void require(String name, Tensor tensor) {
        Objects.requireNonNull(tensor, name);
        if (tensor.rank() != 2 && tensor.rank() != 3) {
            throw new IllegalArgumentException(
                    name + " is " + tensor + ", expected shape [N,V] or [B,T,V]");
        }
        if (!tensor.device().isHost()) {
            throw new IllegalArgumentException(
                    name + " is " + tensor + " on " + tensor.device() + ", expected host memory");
        }
    }

    private static boolean sameSizes(Tensor p, Tensor q) {
        for (int d = 0; d < p.rank(); d++) {
            if (p.size(d) != q.size(d)) {
                return false;
            }
        }
        return true;
    }

    /** Over rows, in their order. */
    private static final class Sums {
        private static final long NO_LABEL = -100;

        private long rows;
        private double maxKl;
        private double sumKl;
        private double maxTvd;
        private double sumTvd;
        private long equalArgmax;
        private long equalRows;

        void add(Tensor p, Tensor q, Backend backend) {
            long count = p.size(0);
            try (Arena arena = Arena.ofConfined()) {
                double[] kl = values(p, q, DivergenceKind.KL_PQ, backend, arena);
                double[] tvd = values(p, q, DivergenceKind.TVD, backend, arena);
                long[] argmaxP = argmax(p, backend, arena);
                long[] argmaxQ = argmax(q, backend, arena);
                for (int row = 0; row < count; row++) {
                    maxKl = Math.max(maxKl, kl[row]); // a NaN stays
                    sumKl += kl[row];
                    maxTvd = Math.max(maxTvd, tvd[row]);
                    sumTvd += tvd[row];
                    equalArgmax += argmaxP[row] == argmaxQ[row] ? 1 : 0;
                    equalRows += isEqual(p.select(0, row), q.select(0, row)) ? 1 : 0;
                }
            }
            rows += count;
        }

        Agreement agreement() {
            double divisor = Math.max(rows, 1);
            return new Agreement(
                    rows, maxKl, sumKl / divisor, maxTvd, sumTvd / divisor, equalArgmax, equalRows);
        }

        private static double[] values(
                Tensor p, Tensor q, DivergenceKind kind, Backend backend, Arena arena) {
            Tensor values = Tensor.zeros(arena, DType.F64, p.size(0));
            Divergence.of(p, q).options(DivergenceOptions.of(kind)).values(values).run(backend);
            return values.toDoubles();
        }

        private static long[] argmax(Tensor logits, Backend backend, Arena arena) {
            Tensor labels = Tensor.zeros(arena, DType.I64, logits.size(0)).fill(NO_LABEL);
            Tensor argmax = Tensor.zeros(arena, DType.I64, logits.size(0));
            TokenLogprobs.of(logits, labels)
                    .tokenOptions(TokenOptions.DEFAULT.withIgnoreIndex(NO_LABEL))
                    .argmax(argmax)
                    .run(backend);
            return argmax.toLongs();
        }

        /** Whether two vectors are equal bit for bit. */
        private static boolean isEqual(Tensor x, Tensor y) {
            StridedTensor left = (StridedTensor) x;
            StridedTensor right = (StridedTensor) y;
            return left.segment().mismatch(right.segment()) < 0;
        }
    }
}
