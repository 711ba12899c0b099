package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.loadLong;

import dev.logratio.internal.tensor.StridedTensor;

import java.util.Arrays;
import java.util.stream.IntStream;

/** The columns that rows keep, in ascending order. */
final class KeptColumns {
    private KeptColumns() {}

    static int[] all(StridedTensor logits) {
        return IntStream.range(0, Math.toIntExact(logits.size(logits.rank() - 1))).toArray();
    }

    /** Those of a row; all of them if neither tensor is there. */
    static int[] of(StridedTensor logits, StridedTensor offsets, StridedTensor ids, long row) {
        if (ids == null) {
            return all(logits);
        }
        long first = loadLong(offsets, row);
        int[] columns = new int[Math.toIntExact(loadLong(offsets, row + 1) - first)];
        Arrays.setAll(columns, k -> (int) loadLong(ids, first + k));
        return columns;
    }

    /** The place of a label among columns, -1 if it is none of them. */
    static int place(int[] columns, long label) {
        for (int k = 0; k < columns.length; k++) {
            if (columns[k] == label) {
                return k;
            }
        }
        return -1;
    }
}
