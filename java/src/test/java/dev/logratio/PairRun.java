package dev.logratio;

import dev.logratio.loss.Loss;

import java.lang.foreign.Arena;
import java.util.Arrays;

/**
 * A pair loss in float64 on a batch: four log-probs a pair, counts and upstream gradients; and what
 * came of it.
 *
 * @param gradient with respect to the four log-probs, as in the batch; those of the reference are 0
 *     where there is none
 */
record PairRun(double[] losses, double[][] rewards, double[][] gradient) {
    /**
     * A batch.
     *
     * @param logps policy chosen, policy rejected, reference chosen, reference rejected, [P] each;
     *     the last two absent if reference-free
     * @param counts chosen, rejected
     * @param upstream of each loss; null for the mean
     */
    record Batch(double[][] logps, double[][] counts, double[] upstream) {
        static Batch of(double[]... logps) {
            double[] ones = new double[logps[0].length];
            Arrays.fill(ones, 1);
            return new Batch(logps, new double[][] {ones, ones}, null);
        }

        /**
         * As the loss takes it: without the reference if it has none, and with as many upstream
         * gradients as it has losses.
         */
        Batch fit(Loss.Paired loss) {
            int pairs = logps[0].length;
            return new Batch(
                    loss instanceof Loss.ReferenceFree ? Arrays.copyOf(logps, 2) : logps,
                    counts,
                    upstream == null
                            ? null
                            : Arrays.copyOf(upstream, loss.lossesPerPair() * pairs));
        }

        Batch withUpstream(double... upstream) {
            return new Batch(logps, counts, upstream);
        }

        Batch withCounts(double[] chosen, double[] rejected) {
            return new Batch(logps, new double[][] {chosen, rejected}, upstream);
        }
    }

    static PairRun of(Backend backend, Loss.Paired loss, Batch given) {
        Batch batch = given.fit(loss);
        int pairs = batch.logps[0].length;
        try (Arena arena = Arena.ofConfined()) {
            Tensor losses = zeros(arena, loss.lossesPerPair() * pairs);
            Tensor[] rewards = {zeros(arena, pairs), zeros(arena, pairs)};
            Tensor[] gradient = {
                zeros(arena, pairs), zeros(arena, pairs), zeros(arena, pairs), zeros(arena, pairs)
            };
            PairLoss call =
                    PairLoss.of(
                                    loss,
                                    doubles(arena, batch.logps[0]),
                                    doubles(arena, batch.logps[1]))
                            .counts(
                                    doubles(arena, batch.counts[0]),
                                    doubles(arena, batch.counts[1]))
                            .losses(losses)
                            .rewards(rewards[0], rewards[1])
                            .gradPolicy(gradient[0], gradient[1]);
            if (batch.upstream != null) {
                call.gradLoss(doubles(arena, batch.upstream));
            }
            if (batch.logps.length == 4) {
                call.reference(doubles(arena, batch.logps[2]), doubles(arena, batch.logps[3]))
                        .gradReference(gradient[2], gradient[3]);
            } else {
                call.referenceFree();
            }
            call.run(backend);
            return new PairRun(losses.toDoubles(), values(rewards), values(gradient));
        }
    }

    /** The sum of the losses, each times its upstream gradient. */
    static double objective(Backend backend, Loss.Paired loss, Batch given) {
        double[] losses = of(backend, loss, given).losses;
        double[] upstream = given.fit(loss).upstream;
        double sum = 0;
        for (int k = 0; k < losses.length; k++) {
            sum += losses[k] * (upstream == null ? 1.0 / losses.length : upstream[k]);
        }
        return sum;
    }

    private static double[][] values(Tensor[] tensors) {
        return Arrays.stream(tensors).map(Tensor::toDoubles).toArray(double[][]::new);
    }

    private static Tensor zeros(Arena arena, long size) {
        return Tensor.zeros(arena, DType.F64, size);
    }

    private static Tensor doubles(Arena arena, double[] values) {
        return Tensor.of(arena, DType.F64, values, values.length);
    }
}
