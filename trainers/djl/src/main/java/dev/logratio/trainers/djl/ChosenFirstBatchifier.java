package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDArrays;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.translate.Batchifier;

import java.util.Arrays;
import java.util.Objects;

/**
 * Lays P preference pairs out as {@link PreferenceLoss} takes them: rows 0..P-1 are chosen, rows
 * P..2P-1 rejected, each padded at its end to the longest.
 *
 * <p>A pair is a list of {@code chosen} [C] and {@code rejected} [R] (INT64), of any two lengths;
 * the batch is one array [2P,T], T the greatest of all lengths and at least 1. A third array of a
 * pair, two values of any type, the chosen one first, becomes [2P].
 *
 * <p>A data set takes one for its data, which pads with a token, and one for its labels, which pads
 * with the ignore index: {@code optDataBatchifier(new ChosenFirstBatchifier(paddingToken))} and
 * {@code optLabelBatchifier(new ChosenFirstBatchifier(-100))}. Both give the same T for records of
 * {@link TokenizedPair#toRecord}. A batch that DJL splits among devices is split between pairs.
 *
 * @since 0.1.0
 */
public final class ChosenFirstBatchifier implements Batchifier {
    private static final long serialVersionUID = 1;

    private final long padding;

    /**
     * A batchifier.
     *
     * @param padding fills rows up: a token for data, the loss's ignore index (-100 by default) for
     *     labels
     */
    public ChosenFirstBatchifier(long padding) {
        this.padding = padding;
    }

    /**
     * Makes a batch.
     *
     * @param pairs at least one, each of two or three arrays
     * @return [2P,T] INT64 and, where the pairs have a third array, [2P] of its type; of the first
     *     array's manager
     * @throws IllegalArgumentException if there is no pair, or one has other arrays than these; the
     *     message names it
     * @throws NullPointerException if the pairs are null; the message names them
     */
    @Override
    public NDList batchify(NDList[] pairs) {
        Objects.requireNonNull(pairs, "pairs");
        check(pairs);
        NDList batch = new NDList(stack(pairs));
        if (pairs[0].size() == 3) {
            batch.add(chosenFirst(pairs));
        }
        return batch;
    }

    private static void check(NDList[] pairs) {
        if (pairs.length == 0) {
            throw new IllegalArgumentException("pairs are empty; expected at least one");
        }
        int arrays = pairs[0].size() == 3 ? 3 : 2;
        for (int i = 0; i < pairs.length; i++) {
            String name = "pair " + i;
            if (pairs[i].size() != arrays) {
                String expected = arrays == 3 ? "three, as pair 0" : "chosen and rejected";
                throw new IllegalArgumentException(
                        name + " holds " + pairs[i].size() + " arrays; expected " + expected);
            }
            checkRow(name + "'s chosen", pairs[i].get(0));
            checkRow(name + "'s rejected", pairs[i].get(1));
            if (arrays == 3 && pairs[i].get(2).size() != 2) {
                throw new IllegalArgumentException(
                        name
                                + "'s third array has shape "
                                + pairs[i].get(2).getShape()
                                + "; expected two values");
            }
        }
    }

    private static void checkRow(String name, NDArray row) {
        if (row.getDataType() != DataType.INT64 || row.getShape().dimension() != 1) {
            throw new IllegalArgumentException(
                    name
                            + " is "
                            + row.getDataType()
                            + " "
                            + row.getShape()
                            + "; expected INT64 of one dimension");
        }
    }

    private NDArray stack(NDList[] pairs) {
        int longest = 1;
        for (NDList pair : pairs) {
            longest = Math.max(longest, length(pair.get(0)));
            longest = Math.max(longest, length(pair.get(1)));
        }
        long[] rows = new long[2 * pairs.length * longest];
        Arrays.fill(rows, padding);
        for (int i = 0; i < pairs.length; i++) {
            copy(pairs[i].get(0), rows, i * longest);
            copy(pairs[i].get(1), rows, (pairs.length + i) * longest);
        }
        return pairs[0].head().getManager().create(rows, new Shape(2L * pairs.length, longest));
    }

    private static int length(NDArray row) {
        return Math.toIntExact(row.size());
    }

    private static void copy(NDArray row, long[] rows, int at) {
        if (row.size() > 0) {
            System.arraycopy(row.toLongArray(), 0, rows, at, length(row));
        }
    }

    private static NDArray chosenFirst(NDList[] pairs) {
        NDList values = new NDList(pairs.length);
        for (NDList pair : pairs) {
            values.add(pair.get(2));
        }
        try (NDArray byPair = NDArrays.stack(values);
                NDArray twoRows = byPair.reshape(pairs.length, 2).transpose()) {
            return twoRows.flatten();
        }
    }

    /**
     * Takes a batch apart. The rows keep their padding.
     *
     * @param batch [2P,T] and, if there is a second array, [2P]
     * @return P lists of [T], [T] and, if there is a second array, [2]
     * @throws IllegalArgumentException if the number of rows is odd
     * @throws NullPointerException if the batch is null; the message names it
     */
    @Override
    public NDList[] unbatchify(NDList batch) {
        Objects.requireNonNull(batch, "batch");
        long rows = batch.head().size(0);
        if (rows % 2 != 0) {
            throw new IllegalArgumentException(
                    "batch has " + rows + " rows; expected chosen ones and as many rejected ones");
        }
        NDList[] pairs = new NDList[Math.toIntExact(rows / 2)];
        for (int i = 0; i < pairs.length; i++) {
            long rejected = (long) pairs.length + i;
            pairs[i] = new NDList(batch.head().get(i), batch.head().get(rejected));
            if (batch.size() > 1) {
                NDArray values = batch.get(1);
                pairs[i].add(NDArrays.stack(new NDList(values.get(i), values.get(rejected))));
            }
        }
        return pairs;
    }
}
