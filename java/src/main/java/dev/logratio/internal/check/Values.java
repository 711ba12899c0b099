package dev.logratio.internal.check;

import dev.logratio.TokenOptions;
import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.Loss;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.function.LongPredicate;

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

    /** The columns of logits that take part: the first {@code vocab}, or all where that is 0. */
    static long columns(Call call, long vocab) {
        return columns(call, vocab, "logits");
    }

    /** The same of logits of another name. */
    static long columns(Call call, long vocab, String logits) {
        long columns = call.size('V');
        if (vocab > columns) {
            throw new IllegalArgumentException(
                    "vocab is "
                            + vocab
                            + ", expected at most the "
                            + columns
                            + " columns of "
                            + logits);
        }
        return vocab == 0 ? columns : vocab;
    }

    /** Labels of the columns that take part, or the ignore index. */
    static void labels(Call call, Operand labels) {
        labels(call, labels, number -> true);
    }

    /** The same of those labels alone that count, by their row-major number. */
    static void labels(Call call, Operand labels, LongPredicate counts) {
        TokenOptions options = call.option(TokenOptions.class);
        long columns = columns(call, options.vocab());
        labels(labels, call.get(labels), columns, options.ignoreIndex(), counts);
    }

    /** Whether a mask, if there is one, counts the element of this row-major number. */
    static boolean counts(StridedTensor mask, long number) {
        if (mask == null) {
            return true;
        }
        double weight = mask.loadDouble(mask.offsetOf(number));
        return mask.dtype().isFloat() ? weight > 0 : weight != 0;
    }

    static void labels(Operand operand, StridedTensor labels, long vocabulary, long ignoreIndex) {
        labels(operand, labels, vocabulary, ignoreIndex, number -> true);
    }

    private static void labels(
            Operand operand,
            StridedTensor labels,
            long vocabulary,
            long ignoreIndex,
            LongPredicate counts) {
        if (isUnread(labels)) {
            return;
        }
        for (long i = 0; i < labels.elementCount(); i++) {
            if (counts.test(i)) {
                label(operand, labels, i, vocabulary, ignoreIndex);
            }
        }
    }

    /** A label of this number, which has to be right. */
    static long label(
            Operand operand, StridedTensor labels, long number, long vocabulary, long ignoreIndex) {
        long label = labels.loadLong(labels.offsetOf(number));
        if ((label < 0 || label >= vocabulary) && label != ignoreIndex) {
            throw wrong(
                    operand,
                    labels,
                    number,
                    label,
                    "a number in [0," + vocabulary + ") or the ignore_index " + ignoreIndex);
        }
        return label;
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
        weights(operand, weights, weights == null ? 0 : weights.elementCount());
    }

    /** The same of the first so many. */
    static void weights(Operand operand, StridedTensor weights, long count) {
        if (isUnread(weights) || !weights.dtype().isFloat()) {
            return;
        }
        for (long i = 0; i < count; i++) {
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

    /** Weights, of which there may be none at all, that are not all 0. */
    static void positiveSum(Operand operand, StridedTensor weights) {
        if (isUnread(weights)) {
            return;
        }
        for (long i = 0; i < weights.elementCount(); i++) {
            if (weights.loadDouble(weights.offsetOf(i)) > 0) {
                return;
            }
        }
        throw new IllegalArgumentException(operand.id() + " sums to 0, expected a positive sum");
    }

    /** Ids are columns, none twice in a row. */
    static void distinctInRows(Operand operand, StridedTensor ids, long columns) {
        if (isUnread(ids)) {
            return;
        }
        long known = ids.size(1);
        for (long row = 0; row < ids.size(0); row++) {
            Set<Long> taken = new HashSet<>();
            for (long i = row * known; i < (row + 1) * known; i++) {
                long id = ids.loadLong(ids.offsetOf(i));
                if (id < 0 || id >= columns) {
                    throw wrong(operand, ids, i, id, "a number in [0," + columns + ")");
                }
                if (!taken.add(id)) {
                    throw wrong(operand, ids, i, id + " once more", "no id twice in a row");
                }
            }
        }
    }

    /** Log-probabilities of a row are numbers or -inf, and sum to no more than given. */
    static void logProbabilities(Operand operand, StridedTensor logps, double most) {
        if (isUnread(logps)) {
            return;
        }
        long known = logps.size(1);
        for (long row = 0; row < logps.size(0); row++) {
            double sum = 0;
            for (long i = row * known; i < (row + 1) * known; i++) {
                double logp = logps.loadDouble(logps.offsetOf(i));
                if (Double.isNaN(logp)) {
                    throw wrong(operand, logps, i, logp, "a number or -Infinity");
                }
                sum += Math.exp(logp);
            }
            if (sum > most) {
                throw new IllegalArgumentException(
                        operand.id()
                                + " row "
                                + row
                                + " has probabilities that sum to more than 1, expected at most"
                                + " 1");
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

    static boolean isUnread(StridedTensor tensor) {
        return tensor == null || !tensor.device().isHost();
    }

    /** "NAME[1, 2] is 7, expected ...". */
    static IllegalArgumentException wrong(
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
