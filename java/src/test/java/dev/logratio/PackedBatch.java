package dev.logratio;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;

/**
 * Sequences of given lengths, packed and padded: weights with zeros among them, labels of which
 * some are ignored, token log-probs, and logits. What stands in the padding is not to be read.
 */
final class PackedBatch {
    private final Arena arena;
    private final Random random = new Random(41);
    private final int[] lengths;
    private final int longest; // with the padding
    private final int tokens;
    private final Tensor[] mask;
    private final Tensor[] labels;
    private final Tensor[] reference;
    private final Tensor[] nllMask;
    private final Tensor upstream;
    private Tensor[] logits;

    PackedBatch(Arena arena, int padding, int... lengths) {
        this.arena = arena;
        this.lengths = lengths;
        longest = Arrays.stream(lengths).max().orElse(0) + padding;
        tokens = Arrays.stream(lengths).sum();
        double[] weights = random.doubles(tokens, .5, 1.5).toArray();
        double[] columns = new double[tokens];
        for (int i = 0; i < tokens; i++) {
            weights[i] = random.nextInt(4) == 0 ? 0 : weights[i];
            columns[i] = random.nextInt(7) == 0 ? StepRun.IGNORE : random.nextInt(4);
        }
        mask = both(DType.F32, weights, 1, 0);
        labels = both(DType.I64, columns, 1, StepRun.IGNORE);
        reference = both(DType.F64, random.doubles(tokens, -3, 0).toArray(), 1, Double.NaN);
        double[] ofSequences = random.doubles(lengths.length, -2, 2).toArray();
        upstream = Tensor.of(arena, DType.F64, ofSequences, lengths.length);
        nllMask = both(DType.F32, nllWeights(), 1, 0);
    }

    /** Weights of the first half of the sequences; what stands in the other is not to be read. */
    private double[] nllWeights() {
        Random ofNll = new Random(43);
        double[] weights = new double[tokens];
        int chosen = Arrays.stream(lengths, 0, lengths.length / 2).sum();
        for (int i = 0; i < tokens; i++) {
            double weight = ofNll.nextInt(3) == 0 ? 0 : ofNll.nextDouble(.5, 1.5);
            weights[i] = i < chosen ? weight : Double.NaN;
        }
        return weights;
    }

    /** The same with logits. */
    PackedBatch logits(int vocabulary, DType dtype) {
        double[] values = random.doubles((long) tokens * vocabulary, -2, 2).toArray();
        logits = both(dtype, values, vocabulary, Double.NaN);
        return this;
    }

    /** Some numbers of each token as a padded and as a packed tensor. */
    private Tensor[] both(DType dtype, double[] values, int each, double padding) {
        double[] padded = new double[lengths.length * longest * each];
        Arrays.fill(padded, padding);
        int from = 0;
        for (int b = 0; b < lengths.length; b++) {
            int count = lengths[b] * each;
            System.arraycopy(values, from, padded, b * longest * each, count);
            from += count;
        }
        return each == 1
                ? new Tensor[] {
                    filled(dtype, padded, lengths.length, longest), filled(dtype, values, tokens)
                }
                : new Tensor[] {
                    filled(dtype, padded, lengths.length, longest, each),
                    filled(dtype, values, tokens, each)
                };
    }

    private Tensor filled(DType dtype, double[] values, long... shape) {
        Tensor tensor = Tensor.zeros(arena, dtype, shape);
        if (values.length > 0) {
            tensor.copyFrom(Tensor.of(arena, DType.F64, values, shape));
        }
        return tensor;
    }

    int sequences() {
        return lengths.length;
    }

    int vocabulary() {
        return Math.toIntExact(logits[1].size(1));
    }

    Tensor mask(boolean packed) {
        return mask[packed ? 1 : 0];
    }

    Tensor labels(boolean packed) {
        return labels[packed ? 1 : 0];
    }

    Tensor nllMask(boolean packed) {
        return nllMask[packed ? 1 : 0];
    }

    Tensor reference(boolean packed) {
        return reference[packed ? 1 : 0];
    }

    Tensor logits(boolean packed) {
        return logits[packed ? 1 : 0];
    }

    /** A number for each sequence. */
    Tensor upstream() {
        return upstream;
    }

    Tensor cuSeqlens() {
        long[] ends = new long[lengths.length + 1];
        for (int b = 0; b < lengths.length; b++) {
            ends[b + 1] = ends[b] + lengths[b];
        }
        return Tensor.of(arena, ends, ends.length);
    }

    /** The numbers of each token in a tensor, as a packed one has them. */
    double[] tokensOf(Tensor tensor, int each, boolean packed) {
        double[] values = tensor.toDoubles();
        if (packed) {
            return values;
        }
        double[] all = new double[tokens * each];
        int at = 0;
        for (int b = 0; b < lengths.length; b++) {
            int count = lengths[b] * each;
            System.arraycopy(values, b * longest * each, all, at, count);
            at += count;
        }
        return all;
    }
}
