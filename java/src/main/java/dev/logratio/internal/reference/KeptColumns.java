package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.loadLong;

import dev.logratio.TokenOptions;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.Arrays;
import java.util.stream.IntStream;

/** The columns that rows keep, in ascending order. */
final class KeptColumns {
    private KeptColumns() {}

    /** All but those of the padding. */
    static int[] all(StridedTensor logits, TokenOptions options) {
        long columns = logits.size(logits.rank() - 1);
        long vocabulary = options.vocab() == 0 ? columns : options.vocab();
        return IntStream.range(0, Math.toIntExact(vocabulary)).toArray();
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
        return Math.max(Arrays.binarySearch(columns, (int) label), -1);
    }

    /** The places of those labels that are among the columns. */
    static int[] places(int[] columns, int[] labels) {
        return Arrays.stream(labels)
                .map(label -> place(columns, label))
                .filter(place -> place >= 0)
                .toArray();
    }
}
