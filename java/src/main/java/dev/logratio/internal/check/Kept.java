package dev.logratio.internal.check;

import dev.logratio.TokenOptions;
import dev.logratio.internal.tensor.StridedTensor;

/** Checks of the columns that rows keep. */
final class Kept {
    private Kept() {}

    /**
     * There is a label per row, and the offsets have one element more than there are rows, of
     * sequences, too.
     */
    static void shape(Call call, Operand offsets, Operand logits, Operand labels) {
        if (!call.has(offsets)) {
            return;
        }
        StridedTensor rows = call.get(logits);
        if (call.get(labels).rank() == rows.rank()) {
            throw call.mismatch(labels, "a label per row, as kept_ids is given");
        }
        long expected = 1 + rows.size(0) * (rows.rank() == 3 ? rows.size(1) : 1);
        if (call.get(offsets).elementCount() != expected) {
            throw call.mismatch(
                    offsets, "shape [" + expected + "], as " + logits.id() + " is " + rows);
        }
    }

    /** Offsets rise from 0 to the number of ids, and a row's ids rise within [0,vocab). */
    static void values(Call call, Operand offsetsOperand, Operand idsOperand) {
        StridedTensor offsets = call.get(offsetsOperand);
        StridedTensor ids = call.get(idsOperand);
        if (offsets == null || !offsets.device().isHost()) {
            return;
        }
        checkOffsets(offsetsOperand, offsets, idsOperand, ids);
        long vocabulary = Values.columns(call, call.option(TokenOptions.class).vocab());
        for (long row = 0; row + 1 < offsets.elementCount(); row++) {
            long first = element(offsets, row);
            for (long k = first; k < element(offsets, row + 1); k++) {
                long id = element(ids, k);
                String value = id + " in row " + row;
                if (id < 0 || id >= vocabulary) {
                    throw Values.wrong(
                            idsOperand, ids, k, value, "a number in [0," + vocabulary + ")");
                }
                if (k > first && id <= element(ids, k - 1)) {
                    String expected = "more than the " + element(ids, k - 1) + " before it";
                    throw Values.wrong(idsOperand, ids, k, value, expected);
                }
            }
        }
    }

    private static void checkOffsets(
            Operand operand, StridedTensor offsets, Operand idsOperand, StridedTensor ids) {
        if (element(offsets, 0) != 0) {
            throw Values.wrong(operand, offsets, 0, element(offsets, 0), "0, where row 0 begins");
        }
        long last = offsets.elementCount() - 1;
        for (long k = 1; k <= last; k++) {
            long before = element(offsets, k - 1);
            if (element(offsets, k) <= before) {
                throw Values.wrong(
                        operand,
                        offsets,
                        k,
                        element(offsets, k),
                        "more than " + before + ", where row " + (k - 1) + " begins");
            }
        }
        if (element(offsets, last) != ids.elementCount()) {
            throw Values.wrong(
                    operand,
                    offsets,
                    last,
                    element(offsets, last),
                    ids.elementCount() + ", as " + idsOperand.id() + " is " + ids);
        }
    }

    private static long element(StridedTensor tensor, long number) {
        return tensor.loadLong(tensor.offsetOf(number));
    }
}
