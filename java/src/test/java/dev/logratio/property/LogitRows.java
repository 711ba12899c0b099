package dev.logratio.property;

import dev.logratio.DType;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * Rows of logits of every kind that training, masks and faults make.
 *
 * @param values rows after one another
 * @param kinds what each row is, in words
 */
record LogitRows(double[] values, List<String> kinds) {
    /** What programs mask with; NaN stands for the least value of the type. */
    private static final double[] MASKS = {
        -1e4, -65504, -1e9, Double.NaN, Double.NEGATIVE_INFINITY
    };

    /** Rows after one another, in float64: what a dtype makes of them is what counts. */
    static LogitRows drawn(Draw draw, DType dtype, int rows, int vocabulary) {
        double[] values = new double[rows * vocabulary];
        List<String> kinds = new ArrayList<>();
        boolean bad = draw.chance(.1);
        for (int row = 0; row < rows; row++) {
            StringBuilder kind = new StringBuilder();
            System.arraycopy(
                    row(draw, dtype, vocabulary, bad, kind),
                    0,
                    values,
                    row * vocabulary,
                    vocabulary);
            kinds.add(kind.toString());
        }
        return new LogitRows(values, kinds);
    }

    private static double[] row(
            Draw draw, DType dtype, int vocabulary, boolean bad, StringBuilder kind) {
        double[] row = basis(draw, vocabulary, kind);
        if (draw.chance(.15)) {
            certain(draw, row, kind);
        }
        if (draw.chance(.15)) {
            offset(draw, dtype, row, kind);
        }
        if (draw.chance(.25)) {
            mask(draw, dtype, row, kind);
        }
        if (bad && draw.chance(.5)) {
            spoil(draw, row, kind);
        }
        return row;
    }

    private static double[] basis(Draw draw, int vocabulary, StringBuilder kind) {
        double scale =
                switch (draw.below(6)) {
                    case 0 -> draw.magnitude(1e-4, 1); // nearly tied
                    case 1 -> 0; // tied
                    case 2 -> draw.magnitude(10, 1e3);
                    default -> 3;
                };
        double centre = draw.gaussian();
        kind.append(String.format(Locale.ROOT, "scale %.2g", scale));
        double[] row = draw.gaussians(vocabulary, scale);
        Arrays.setAll(row, k -> row[k] + centre);
        return row;
    }

    /**
     * One logit above the rest by so much that the others' probabilities are below the last bit of
     * 1, or around it.
     */
    private static void certain(Draw draw, double[] row, StringBuilder kind) {
        int top = draw.below(row.length);
        double gap = draw.between(10, 80);
        row[top] = Arrays.stream(row).max().orElseThrow() + gap;
        kind.append(String.format(Locale.ROOT, ", certain by %.0f", gap));
    }

    /** Everything far from 0, so far that the differences are rounded, or rounded off. */
    private static void offset(Draw draw, DType dtype, double[] row, StringBuilder kind) {
        double farthest = draw.chance(.5) ? largest(dtype) : Math.min(1e9, largest(dtype));
        double far = draw.magnitude(100, farthest) * draw.number(-1, 1);
        kind.append(String.format(Locale.ROOT, ", offset %.3g", far));
        for (int k = 0; k < row.length; k++) {
            row[k] = Math.max(-largest(dtype), Math.min(largest(dtype), row[k] + far));
        }
    }

    /**
     * Some columns, a stretch of them, all but one, or all at the value that a program masks with.
     */
    private static void mask(Draw draw, DType dtype, double[] row, StringBuilder kind) {
        double drawn = draw.number(MASKS);
        double mask = Double.isNaN(drawn) ? -largest(dtype) : drawn;
        int whole = row.length;
        int which = draw.below(4);
        kind.append(", ")
                .append(List.of("all", "a stretch", "all but one", "some").get(which))
                .append(" masked ")
                .append((float) mask);
        switch (which) {
            case 0 -> Arrays.fill(row, mask);
            case 1 -> {
                int from = draw.below(whole);
                Arrays.fill(row, from, from + draw.below(whole - from), mask);
            }
            case 2 -> {
                int kept = draw.below(whole);
                double value = row[kept];
                Arrays.fill(row, mask);
                row[kept] = value;
            }
            default -> {
                for (int k = 0; k < whole; k++) {
                    row[k] = draw.chance(.4) ? mask : row[k];
                }
            }
        }
    }

    /** NaN, +inf, or nothing but -inf. */
    private static void spoil(Draw draw, double[] row, StringBuilder kind) {
        kind.append(", bad");
        switch (draw.below(3)) {
            case 0 -> row[draw.below(row.length)] = Double.NaN;
            case 1 -> row[draw.below(row.length)] = Double.POSITIVE_INFINITY;
            default -> Arrays.fill(row, Double.NEGATIVE_INFINITY);
        }
    }

    /** The largest finite value of a type of logits. */
    static double largest(DType dtype) {
        return switch (dtype) {
            case F32 -> Float.MAX_VALUE;
            case BF16 -> 0x1.FEp127;
            case F16 -> 65504;
            default -> throw new AssertionError(dtype);
        };
    }

    /** Labels of rows after one another: the likeliest column, any column, or the ignore index. */
    static double[] labels(Draw draw, double[] rows, int vocabulary, long ignoreIndex) {
        double[] labels = new double[rows.length / vocabulary];
        for (int row = 0; row < labels.length; row++) {
            labels[row] =
                    draw.chance(.15)
                            ? ignoreIndex
                            : draw.chance(.4) ? top(rows, row, vocabulary) : draw.below(vocabulary);
        }
        return labels;
    }

    private static int top(double[] rows, int row, int vocabulary) {
        int top = 0;
        for (int k = 1; k < vocabulary; k++) {
            top = rows[row * vocabulary + k] > rows[row * vocabulary + top] ? k : top;
        }
        return top;
    }
}
