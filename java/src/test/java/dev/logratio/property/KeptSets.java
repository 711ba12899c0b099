package dev.logratio.property;

import dev.logratio.Tensor;

import java.util.Arrays;
import java.util.BitSet;

/** The columns that each row keeps, or null tensors where all rows keep all. */
record KeptSets(Tensor offsets, Tensor ids) {
    static KeptSets drawn(Draw draw, TokenRows rows) {
        if (rows.perRow() > 0 || !draw.chance(.4)) {
            return new KeptSets(null, null);
        }
        int count = (int) rows.labels().elementCount();
        long columns = rows.logits().size(rows.logits().rank() - 1);
        int vocabulary = (int) (rows.options().vocab() == 0 ? columns : rows.options().vocab());
        long[] labels = rows.labels().toLongs();
        double[] ends = new double[count + 1];
        double[] all = new double[count * vocabulary];
        int size = 0;
        for (int row = 0; row < count; row++) {
            double share = draw.oneOf(0., .1, .5, .9, 1.);
            BitSet kept = new BitSet(vocabulary);
            for (int column = 0; column < vocabulary; column++) {
                kept.set(column, draw.chance(share));
            }
            if (labels[row] >= 0 && draw.chance(.8)) {
                kept.set((int) labels[row]);
            }
            if (kept.isEmpty()) {
                kept.set(draw.below(vocabulary));
            }
            for (int id : kept.stream().toArray()) {
                all[size++] = id;
            }
            ends[row + 1] = size;
        }
        return new KeptSets(
                draw.tensor(draw.integer(), ends, count + 1),
                draw.tensor(draw.integer(), Arrays.copyOf(all, size), size));
    }

    boolean isThere() {
        return ids != null;
    }

    /** The logits that count, 0 for the others. */
    double[] only(double[] logits, int vocabulary) {
        if (!isThere()) {
            return logits;
        }
        double[] only = new double[logits.length];
        long[] ends = offsets.toLongs();
        long[] columns = ids.toLongs();
        for (int row = 0; row + 1 < ends.length; row++) {
            for (long k = ends[row]; k < ends[row + 1]; k++) {
                int at = row * vocabulary + (int) columns[(int) k];
                only[at] = logits[at];
            }
        }
        return only;
    }

    /** How many columns a row has. */
    long columns(int row, int vocabulary) {
        return isThere() ? offsets.getLong(row + 1) - offsets.getLong(row) : vocabulary;
    }

    String description() {
        return isThere()
                ? ", kept %s of %s, %s of %s"
                        .formatted(
                                Arrays.toString(offsets.toLongs()),
                                offsets,
                                ids.elementCount() > 300 ? "ids" : Arrays.toString(ids.toLongs()),
                                ids)
                : "";
    }
}
