package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.load;
import static dev.logratio.internal.reference.Numbers.store;

import dev.logratio.DType;
import dev.logratio.SequenceOptions;
import dev.logratio.SequenceOptions.Align;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.SequenceLogpsOperand;
import dev.logratio.internal.tensor.StridedTensor;

/** Token weights of sequences, and sums with them. A token counts if its weight is above 0. */
final class Sequence {
    private Sequence() {}

    /** {@code sequence_logps}. */
    static void run(Call call) {
        SequenceOptions options = call.option(SequenceOptions.class);
        StridedTensor tokenLogps = call.get(SequenceLogpsOperand.TOKEN_LOGPS);
        StridedTensor logps = call.get(SequenceLogpsOperand.LOGPS);
        StridedTensor gradient = call.get(SequenceLogpsOperand.GRAD_TOKEN_LOGPS);
        StridedTensor mask = call.get(SequenceLogpsOperand.MASK);
        Spans spans = Spans.of(mask, call.get(SequenceLogpsOperand.CU_SEQLENS));
        double[][] weights = weights(mask, spans);
        applyTailWeight(weights, options);
        for (int b = 0; b < weights.length; b++) {
            if (logps != null) {
                store(logps, b, reduce(tokenLogps, spans, b, weights[b], options.reduction()));
            }
            store(call.get(SequenceLogpsOperand.COUNTS), b, sum(weights[b]));
            double upstream =
                    load(call.get(SequenceLogpsOperand.GRAD_LOGPS), b, 0)
                            / divisor(weights[b], options.reduction());
            for (int t = 0; gradient != null && t < weights[b].length; t++) {
                double value = weights[b][t] > 0 ? upstream * weights[b][t] : 0;
                store(gradient, spans.number(b, t), value);
            }
        }
    }

    /** The mask's weights, by sequence and token. */
    static double[][] weights(StridedTensor mask, Spans spans) {
        double[][] weights = spans.ones();
        for (int b = 0; b < weights.length; b++) {
            for (int t = 0; t < weights[b].length; t++) {
                double weight = mask.loadDouble(mask.offsetOf(spans.number(b, t)));
                weights[b][t] = mask.dtype() == DType.F32 ? weight : weight == 0 ? 0 : 1;
            }
        }
        return weights;
    }

    /** Multiplies the weight of every token past its pair's shared set by the tail weight. */
    static void applyTailWeight(double[][] weights, SequenceOptions options) {
        int pairs = weights.length / 2;
        for (int i = 0; options.tailWeight() < 1 && i < pairs; i++) {
            double[] chosen = weights[i];
            double[] rejected = weights[i + pairs];
            boolean[][] shared =
                    options.align() == Align.COMPLETION
                            ? sharedByPosition(chosen, rejected, options.keepFraction())
                            : sharedByColumn(chosen, rejected, options.keepFraction());
            weigh(chosen, shared[0], options.tailWeight());
            weigh(rejected, shared[1], options.tailWeight());
        }
    }

    private static boolean[][] sharedByPosition(
            double[] chosen, double[] rejected, double keepFraction) {
        long kept = kept(Math.min(counted(chosen), counted(rejected)), keepFraction);
        return new boolean[][] {firstCounted(chosen, kept), firstCounted(rejected, kept)};
    }

    private static boolean[][] sharedByColumn(
            double[] chosen, double[] rejected, double keepFraction) {
        double[] both = new double[Math.min(chosen.length, rejected.length)];
        for (int t = 0; t < both.length; t++) {
            both[t] = Math.min(chosen[t], rejected[t]);
        }
        boolean[] shared = firstCounted(both, kept(counted(both), keepFraction));
        return new boolean[][] {shared, shared};
    }

    private static long kept(long shared, double keepFraction) {
        return shared == 0 ? 0 : Math.max(1, (long) Math.floor(keepFraction * shared));
    }

    private static long counted(double[] weights) {
        long count = 0;
        for (double weight : weights) {
            count += weight > 0 ? 1 : 0;
        }
        return count;
    }

    private static boolean[] firstCounted(double[] weights, long number) {
        boolean[] first = new boolean[weights.length];
        long left = number;
        for (int t = 0; t < weights.length && left > 0; t++) {
            if (weights[t] > 0) {
                first[t] = true;
                left--;
            }
        }
        return first;
    }

    private static void weigh(double[] weights, boolean[] shared, double tailWeight) {
        for (int t = 0; t < weights.length; t++) {
            weights[t] *= t < shared.length && shared[t] ? 1 : tailWeight;
        }
    }

    static double sum(double[] weights) {
        double sum = 0;
        for (double weight : weights) {
            sum += weight;
        }
        return sum;
    }

    /** What a weighted sum is divided by. */
    static double divisor(double[] weights, Reduction reduction) {
        return reduction == Reduction.MEAN ? Math.max(sum(weights), 1) : 1;
    }

    /** Sequence {@code b} of token log-probs, reduced; what does not count is not read. */
    static double reduce(
            StridedTensor tokenLogps, Spans spans, int b, double[] weights, Reduction reduction) {
        double[] logps = new double[weights.length];
        for (int t = 0; t < weights.length; t++) {
            logps[t] = weights[t] > 0 ? load(tokenLogps, spans.number(b, t), 0) : 0;
        }
        return reduce(logps, weights, reduction);
    }

    /** The same of token log-probs in an array. */
    static double reduce(double[] tokenLogps, double[] weights, Reduction reduction) {
        double sum = 0;
        for (int t = 0; t < weights.length; t++) {
            if (weights[t] > 0) {
                sum += weights[t] * tokenLogps[t];
            }
        }
        return sum / divisor(weights, reduction);
    }
}
