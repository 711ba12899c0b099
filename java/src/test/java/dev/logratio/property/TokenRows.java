package dev.logratio.property;

import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.TokenOptions;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;

/**
 * Logits with labels, [N,V] or [B,T,V], and how a logit becomes z.
 *
 * @param perRow how many labels a row has, 0 where it has one that is no dimension
 */
record TokenRows(LogitRows rows, Tensor logits, Tensor labels, int perRow, TokenOptions options) {
    static TokenRows drawn(Draw draw) {
        int vocabulary = draw.vocabulary();
        int most = vocabulary > 5000 ? 2 : 7;
        int rows = Math.min(most, draw.size(0, 1, 1, 1, 2, 7));
        long[] shape =
                draw.chance(.3) && rows % 2 == 0 ? new long[] {2, rows / 2} : new long[] {rows};
        int vocab = draw.chance(.2) ? 1 + draw.below(vocabulary) : vocabulary;
        int perRow = draw.chance(.3) ? Math.min(vocab, draw.size(1, 2, 5, 40)) : 0;
        return of(draw, vocabulary, vocab, perRow, shape);
    }

    static TokenRows of(Draw draw, int vocabulary, long... shape) {
        return of(draw, vocabulary, vocabulary, 0, shape);
    }

    private static TokenRows of(Draw draw, int vocabulary, int vocab, int perRow, long... shape) {
        long rows = 1;
        long[] withColumns = Arrays.copyOf(shape, shape.length + 1);
        withColumns[shape.length] = vocabulary;
        for (long size : shape) {
            rows *= size;
        }
        DType dtype = draw.logitType();
        TokenOptions drawnOptions = options(draw);
        TokenOptions options = vocab == vocabulary ? drawnOptions : drawnOptions.withVocab(vocab);
        long[] labelShape = shape;
        if (perRow > 0) {
            labelShape = Arrays.copyOf(withColumns, withColumns.length);
            labelShape[shape.length] = perRow;
        }
        LogitRows drawn = LogitRows.drawn(draw, dtype, (int) rows, vocabulary);
        return new TokenRows(
                drawn,
                draw.tensor(dtype, drawn.values(), withColumns),
                draw.tensor(
                        draw.integer(),
                        labels(draw, drawn.values(), vocabulary, vocab, perRow, options),
                        labelShape),
                perRow,
                options);
    }

    private static double[] labels(
            Draw draw, double[] values, int columns, int vocab, int perRow, TokenOptions options) {
        long ignored = options.ignoreIndex();
        double[] first = LogitRows.labels(draw, values, columns, ignored);
        for (int r = 0; r < first.length; r++) {
            first[r] = first[r] >= vocab ? vocab - 1 : first[r];
        }
        if (perRow == 0) {
            return first;
        }
        double[] all = new double[first.length * perRow];
        for (int r = 0; r < first.length; r++) {
            Set<Double> taken = new HashSet<>();
            taken.add(first[r]);
            taken.add((double) ignored);
            all[r * perRow] = first[r];
            for (int k = 1; k < perRow; k++) {
                double label = draw.chance(.1) ? ignored : draw.below(vocab);
                all[r * perRow + k] = taken.add(label) ? label : ignored;
            }
        }
        return all;
    }

    /** The shape of what is a number per row. */
    long[] rowShape() {
        return Arrays.copyOf(logits.shape(), logits.rank() - 1);
    }

    /**
     * How far the mean of each row's logits may be off: where they cancel, some of float32's last
     * places of theirs.
     */
    double[] slackOfMeans() {
        return slackOfMeans(new KeptSets(null, null));
    }

    /** The same of the columns that are kept. */
    double[] slackOfMeans(KeptSets kept) {
        int columns = (int) logits.size(logits.rank() - 1);
        double[] values = kept.only(logits.toDoubles(), columns);
        double[] slack = new double[columns == 0 ? 0 : values.length / columns];
        double largest = options.softcap() == 0 ? Double.MAX_VALUE : options.softcap();
        for (int i = 0; i < values.length; i++) {
            double size = Double.isFinite(values[i]) ? Math.min(Math.abs(values[i]), largest) : 0;
            slack[i / columns] +=
                    0x1p-22 * size / options.temperature() / kept.columns(i / columns, taking());
        }
        return slack;
    }

    /** How many columns take part. */
    int taking() {
        return (int) (options.vocab() == 0 ? logits.size(logits.rank() - 1) : options.vocab());
    }

    private static TokenOptions options(Draw draw) {
        double temperature = draw.chance(.4) ? 1 : draw.magnitude(.01, 100);
        // A capped logit is good to some last places of the cap in float32, which an exponential
        // over a
        // small temperature amplifies.
        double softcap = draw.chance(.7) ? 0 : Math.min(draw.magnitude(1, 100), 100 * temperature);
        return new TokenOptions(draw.size(-100, -100, -1, 0), temperature, softcap);
    }

    String description() {
        return "logits %s %s, labels %s %s, %s"
                .formatted(
                        logits,
                        rows.kinds(),
                        labels.dtype(),
                        Arrays.toString(labels.toLongs()),
                        options);
    }
}
