package dev.logratio.internal.check;

import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.Loss;

import java.util.Arrays;

/**
 * Checks that the rules of several operations share. Elements are looked at in host memory alone:
 * on a device, reading would wait for it, and its kernels count the bad ones.
 */
final class Values {
    private Values() {}

    static void bothOrNone(Call call, Operand first, Operand second) {
        if (call.has(first) != call.has(second)) {
            Operand missing = call.has(first) ? second : first;
            Operand given = call.has(first) ? first : second;
            throw call.missing(missing, ", as " + given.id() + " is given");
        }
    }

    static void exactlyOne(Call call, Operand first, Operand second) {
        if (call.has(first) == call.has(second)) {
            throw new IllegalArgumentException(
                    first.id()
                            + (call.has(first) ? " and " : " or ")
                            + second.id()
                            + (call.has(first) ? " are both given" : " is missing")
                            + ", expected one of them");
        }
    }

    static void klWithItsLoss(Call call, Operand operand, Loss.Unpaired loss) {
        if (call.has(operand) && !loss.usesKl()) {
            throw new IllegalArgumentException(
                    operand.id()
                            + " is given, expected it only with the loss kto, not "
                            + loss.id());
        }
    }

    static void enoughPairs(Call call, Operand operand, long pairs, Loss.Paired loss) {
        if (pairs > 0 && pairs < loss.smallestBatch()) {
            throw call.mismatch(
                    operand,
                    "at least "
                            + loss.smallestBatch()
                            + " pairs, or none, as loss "
                            + loss.id()
                            + " takes their variance");
        }
    }

    /** An element of a tensor [1], or what stands for it if the host cannot read it. */
    static double number(StridedTensor tensor, double otherwise) {
        return isUnread(tensor) ? otherwise : tensor.loadDouble(0);
    }

    static void labels(Operand operand, StridedTensor labels, long vocabulary, long ignoreIndex) {
        if (isUnread(labels)) {
            return;
        }
        for (long i = 0; i < labels.elementCount(); i++) {
            long label = labels.loadLong(labels.offsetOf(i));
            if ((label < 0 || label >= vocabulary) && label != ignoreIndex) {
                throw wrong(
                        operand,
                        labels,
                        i,
                        label,
                        "a number in [0," + vocabulary + ") or the ignore_index " + ignoreIndex);
            }
        }
    }

    /** Packed sequences, if they are, number at least one where there are tokens. */
    static void hasSequences(Operand operand, Call call, long tokens) {
        if (call.has(operand) && call.get(operand).size(0) == 1 && tokens > 0) {
            throw call.mismatch(operand, "a sequence for the " + tokens + " tokens");
        }
    }

    /** 0, then rising to the number of tokens; nothing where sequences are not packed. */
    static void cuSeqlens(Operand operand, StridedTensor cuSeqlens, long tokens) {
        if (isUnread(cuSeqlens)) {
            return;
        }
        long last = cuSeqlens.elementCount() - 1;
        long before = cuSeqlens.loadLong(0);
        if (before != 0) {
            throw wrong(operand, cuSeqlens, 0, before, "0");
        }
        for (long k = 1; k <= last; k++) {
            long value = cuSeqlens.loadLong(cuSeqlens.offsetOf(k));
            if (value < before) {
                String expected = "at least " + before + ", which is before it";
                throw wrong(operand, cuSeqlens, k, value, expected);
            }
            before = value;
        }
        if (before != tokens) {
            throw wrong(operand, cuSeqlens, last, before, tokens + ", the number of tokens");
        }
    }

    /** Weights are finite and not negative; a mask that is not F32 has none. */
    static void weights(Operand operand, StridedTensor weights) {
        if (isUnread(weights) || !weights.dtype().isFloat()) {
            return;
        }
        for (long i = 0; i < weights.elementCount(); i++) {
            double weight = weights.loadDouble(weights.offsetOf(i));
            if (!(weight >= 0 && weight < Double.POSITIVE_INFINITY)) {
                throw wrong(operand, weights, i, weight, "a finite number >= 0");
            }
        }
    }

    static void positiveSums(Operand operand, StridedTensor weights) {
        if (isUnread(weights)) {
            return;
        }
        long columns = weights.size(1);
        for (long row = 0; row < weights.size(0); row++) {
            boolean positive = false;
            for (long k = 0; k < columns && !positive; k++) {
                positive = weights.loadDouble(weights.offsetOf(row * columns + k)) > 0;
            }
            if (!positive) {
                throw new IllegalArgumentException(
                        operand.id() + " row " + row + " sums to 0, expected a positive sum");
            }
        }
    }

    static void distinctRows(Operand operand, StridedTensor rows, long count) {
        if (isUnread(rows)) {
            return;
        }
        boolean[] taken = new boolean[Math.toIntExact(count)];
        for (long k = 0; k < rows.elementCount(); k++) {
            long row = rows.loadLong(rows.offsetOf(k));
            if (row < 0 || row >= count) {
                throw wrong(operand, rows, k, row, "a number in [0," + count + ")");
            }
            if (taken[(int) row]) {
                throw wrong(operand, rows, k, row + " once more", "no row twice");
            }
            taken[(int) row] = true;
        }
    }

    private static boolean isUnread(StridedTensor tensor) {
        return tensor == null || !tensor.device().isHost();
    }

    /** "NAME[1, 2] is 7, expected ...". */
    private static IllegalArgumentException wrong(
            Operand operand, StridedTensor tensor, long number, Object value, String expected) {
        long[] index = new long[tensor.rank()];
        long rest = number;
        for (int d = index.length - 1; d >= 0; d--) {
            index[d] = rest % tensor.sizes()[d];
            rest /= tensor.sizes()[d];
        }
        return new IllegalArgumentException(
                operand.id() + Arrays.toString(index) + " is " + value + ", expected " + expected);
    }
}
