package dev.logratio.internal.reference;

import dev.logratio.internal.tensor.StridedTensor;

import java.util.Arrays;

/** Elements of tensors that may be absent, by their row-major number. */
final class Numbers {
    private Numbers() {}

    /** An element, or what stands for it if the tensor is absent. */
    static double load(StridedTensor tensor, long number, double absent) {
        return tensor == null ? absent : tensor.loadDouble(tensor.offsetOf(number));
    }

    /** An element of a tensor of integers. */
    static long loadLong(StridedTensor tensor, long number) {
        return tensor.loadLong(tensor.offsetOf(number));
    }

    /** All elements of a vector, or what stands for each if it is absent. */
    static double[] doubles(StridedTensor vector, int length, double absent) {
        double[] values = new double[length];
        Arrays.setAll(values, i -> load(vector, i, absent));
        return values;
    }

    /** Sets an element, if the tensor is wanted. */
    static void store(StridedTensor tensor, long number, double value) {
        if (tensor != null) {
            tensor.storeDouble(tensor.offsetOf(number), value);
        }
    }

    static void storeAll(StridedTensor vector, double[] values) {
        for (int i = 0; i < values.length; i++) {
            store(vector, i, values[i]);
        }
    }

    /** A view with the labels' shape whose elements are the rows' first logits. */
    static StridedTensor rowStarts(StridedTensor logits) {
        return logits.select(logits.rank() - 1, 0);
    }

    /** Sets the elements of a row from its first one on. */
    static void storeRow(StridedTensor tensor, long start, double[] row) {
        for (int k = 0; k < row.length; k++) {
            tensor.storeDouble(start + k, row[k]);
        }
    }
}
