package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.load;
import static dev.logratio.internal.reference.Numbers.rowStarts;

import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.internal.tensor.StridedTensor;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.stream.LongStream;

/**
 * A model's head: logits are {@code hidden * weight^T + bias}, and its gradients follow from
 * theirs. Products are made tile by tile, which bounds the arrays that they are made in.
 *
 * @param hidden [..,H]
 * @param weight [V,H], of whose rows the first so many count
 * @param bias [V]; null for none
 */
record Head(StridedTensor hidden, StridedTensor weight, StridedTensor bias, int columns) {
    static final int BLOCK_ROWS = 256;
    static final int BLOCK_COLUMNS = 2048;

    private int size() {
        return Math.toIntExact(weight.size(1));
    }

    /** How many rows of hidden states there are. */
    long rows() {
        return rowStarts(hidden).elementCount();
    }

    /** The shape of logits, or of their gradient. */
    long[] logitShape() {
        long[] shape = hidden.shape();
        shape[shape.length - 1] = weight.size(0);
        return shape;
    }

    /** Float64 logits; those of columns that do not count are 0. */
    StridedTensor logits(Arena arena) {
        StridedTensor logits = (StridedTensor) Tensor.zeros(arena, DType.F64, logitShape());
        StridedTensor starts = rowStarts(logits);
        long[] all = LongStream.range(0, rows()).toArray();
        for (int v = 0; v < columns; v += BLOCK_COLUMNS) {
            int width = Math.min(columns - v, BLOCK_COLUMNS);
            double[] ofWeight = window(v, width);
            for (int first = 0; first < all.length; first += BLOCK_ROWS) {
                long[] block = block(all, first);
                double[] tile = biases(block.length, v, width);
                Products.instance()
                        .add(
                                false,
                                true,
                                block.length,
                                width,
                                size(),
                                rows(hidden, block, 0, size()),
                                ofWeight,
                                tile);
                for (int r = 0; r < block.length; r++) {
                    long at = starts.offsetOf(block[r]) + v;
                    for (int k = 0; k < width; k++) {
                        logits.storeDouble(at + k, tile[r * width + k]);
                    }
                }
            }
        }
        return logits;
    }

    private double[] biases(int rows, int v, int width) {
        double[] tile = new double[rows * width];
        Arrays.setAll(tile, i -> load(bias, v + i % width, 0));
        return tile;
    }

    /** Writes the gradient of the hidden states; that of a row whose logits have none is 0. */
    void writeHidden(StridedTensor gradLogits, StridedTensor out) {
        StridedTensor starts = rowStarts(out);
        for (long n = 0; n < rows(); n++) {
            store(out, starts.offsetOf(n), new double[size()], 0, false);
        }
        long[] live = liveRows(gradLogits);
        for (int first = 0; first < live.length; first += BLOCK_ROWS) {
            long[] block = block(live, first);
            double[] sums = new double[block.length * size()];
            for (int v = 0; v < columns; v += BLOCK_COLUMNS) {
                int width = Math.min(columns - v, BLOCK_COLUMNS);
                double[] tile = rows(gradLogits, block, v, width);
                Products.instance()
                        .add(
                                false,
                                false,
                                block.length,
                                size(),
                                width,
                                tile,
                                window(v, width),
                                sums);
            }
            for (int r = 0; r < block.length; r++) {
                store(out, starts.offsetOf(block[r]), sums, r, false);
            }
        }
    }

    /** Writes the gradient of the weight, or adds it. */
    void writeWeight(StridedTensor gradLogits, StridedTensor out, boolean accumulate) {
        StridedTensor starts = rowStarts(out);
        long[] live = liveRows(gradLogits);
        for (int v = 0; v < out.size(0); v += BLOCK_COLUMNS) {
            int all = Math.toIntExact(Math.min(out.size(0) - v, BLOCK_COLUMNS));
            int width = Math.clamp((long) columns - v, 0, all);
            double[] sums = new double[all * size()];
            for (int first = 0; first < live.length && width > 0; first += BLOCK_ROWS) {
                long[] block = block(live, first);
                Products.instance()
                        .add(
                                true,
                                false,
                                width,
                                size(),
                                block.length,
                                rows(gradLogits, block, v, width),
                                rows(hidden, block, 0, size()),
                                sums);
            }
            for (int k = 0; k < all; k++) {
                store(out, starts.offsetOf(v + k), sums, k, accumulate);
            }
        }
    }

    /** Writes the gradient of the bias, or adds it. */
    void writeBias(StridedTensor gradLogits, StridedTensor out, boolean accumulate) {
        StridedTensor starts = rowStarts(gradLogits);
        for (long v = 0; v < out.elementCount(); v++) {
            long at = out.offsetOf(v);
            double sum = accumulate ? out.loadDouble(at) : 0;
            for (long n = 0; n < rows() && v < columns; n++) {
                sum += gradLogits.loadDouble(starts.offsetOf(n) + v);
            }
            out.storeDouble(at, sum);
        }
    }

    /** The rows that a gradient is not 0 in; hidden states of others are not looked at. */
    private long[] liveRows(StridedTensor gradLogits) {
        StridedTensor starts = rowStarts(gradLogits);
        return LongStream.range(0, rows())
                .filter(
                        n ->
                                LongStream.range(0, columns)
                                        .anyMatch(
                                                v ->
                                                        gradLogits.loadDouble(
                                                                        starts.offsetOf(n) + v)
                                                                != 0))
                .toArray();
    }

    // ---- Between tensors and arrays ----

    private static long[] block(long[] rows, int first) {
        return Arrays.copyOfRange(rows, first, Math.min(rows.length, first + BLOCK_ROWS));
    }

    /** Some of the weight's rows. */
    private double[] window(int v, int width) {
        return rows(weight, LongStream.range(v, v + width).toArray(), 0, size());
    }

    /** Some columns of some rows. */
    private static double[] rows(StridedTensor tensor, long[] numbers, int from, int width) {
        StridedTensor starts = rowStarts(tensor);
        double[] values = new double[numbers.length * width];
        for (int r = 0; r < numbers.length; r++) {
            long at = starts.offsetOf(numbers[r]) + from;
            for (int k = 0; k < width; k++) {
                values[r * width + k] = tensor.loadDouble(at + k);
            }
        }
        return values;
    }

    /** Writes or adds a row of an array of rows to the one that starts at an offset. */
    private void store(
            StridedTensor out, long start, double[] rows, int number, boolean accumulate) {
        for (int k = 0; k < size(); k++) {
            double before = accumulate ? out.loadDouble(start + k) : 0;
            out.storeDouble(start + k, before + rows[number * size() + k]);
        }
    }
}
