package dev.logratio.internal.check;

import dev.logratio.TokenOptions;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.HashSet;
import java.util.Set;

/** Rules of labels, of which a row may have several. */
final class Labels {
    private static final long MOST = 1024;

    private Labels() {}

    /** The columns that take part, and how many labels a row has. */
    static void check(Call call, Operand labels, Operand... ofTails) {
        long columns = Values.columns(call, call.option(TokenOptions.class).vocab());
        long perRow = call.size('K');
        long most = Math.min(columns, MOST);
        if (perRow == 0 || perRow > most) {
            throw call.mismatch(labels, "1 to " + most + " labels per row");
        }
        for (Operand operand : ofTails) {
            if (perRow < 0 && call.has(operand)) {
                throw new IllegalArgumentException(
                        operand.id() + " is there, expected labels [N,K] or [B,T,K] with it");
            }
        }
    }

    /** Labels are columns that take part, no two of a row the same, or the ignore index. */
    static void checkValues(Call call, Operand operand) {
        StridedTensor labels = call.get(operand);
        if (call.size('K') < 0 || Values.isUnread(labels)) {
            Values.labels(call, operand);
            return;
        }
        TokenOptions options = call.option(TokenOptions.class);
        long columns = Values.columns(call, options.vocab());
        Set<Long> ofRow = new HashSet<>();
        for (long i = 0; i < labels.elementCount(); i++) {
            long label = Values.label(operand, labels, i, columns, options.ignoreIndex());
            if (i % call.size('K') == 0) {
                ofRow.clear();
            }
            if (label != options.ignoreIndex() && !ofRow.add(label)) {
                throw Values.wrong(
                        operand, labels, i, label + " once more", "no label twice in a row");
            }
        }
    }
}
