package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.loadLong;

import dev.logratio.TokenOptions;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.Arrays;
import java.util.stream.IntStream;

/** The columns that rows keep, in ascending order. */
final class KeptColumns {
    private KeptColumns() {}

    /** All but the padding. */
    static int[] all(StridedTensor logits, TokenOptions options) {
        long vocab = options.vocab();
        long columns = vocab == 0 ? logits.size(logits.rank() - 1) : vocab;
        return IntStream.range(0, Math.toIntExact(columns)).toArray();
    }

    /** Those of a row; all of them if neither tensor is there. */
    static int[] of(
            StridedTensor logits,
            StridedTensor offsets,
            StridedTensor ids,
            long row,
            TokenOptions options) {
        if (ids == null) {
            return all(logits, options);
        }
        long first = loadLong(offsets, row);
        int[] columns = new int[Math.toIntExact(loadLong(offsets, row + 1) - first)];
        Arrays.setAll(columns, k -> (int) loadLong(ids, first + k));
        return columns;
    }

    /** The place of a label among columns, -1 if it is none of them. */
    static int place(int[] columns, long label) {
        int place = label == (int) label ? Arrays.binarySearch(columns, (int) label) : -1;
        return Math.max(place, -1);
    }
}
