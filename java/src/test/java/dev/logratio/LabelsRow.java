package dev.logratio;

import java.util.Arrays;

/** One row and its labels, by what the definitions say. */
final class LabelsRow {
    static final double INFINITY = Double.POSITIVE_INFINITY;
    static final long IGNORED = -100;

    final double[] z;
    final double[] slope;
    final double[] p;
    final double lse;
    final double entropy;
    final double tail;
    final boolean[] isLabel;

    LabelsRow(double[] logits, long[] labels, TokenOptions options) {
        int columns = logits.length;
        z = new double[columns];
        slope = new double[columns];
        p = new double[columns];
        isLabel = new boolean[columns];
        for (long label : labels) {
            if (label != options.ignoreIndex()) {
                isLabel[(int) label] = true;
            }
        }
        double cap = options.softcap();
        double sum = 0;
        double rest = 0;
        double held = 0;
        for (int k = 0; k < columns; k++) {
            double tanh = cap == 0 ? 0 : Math.tanh(logits[k] / cap);
            boolean isOut = logits[k] == -INFINITY;
            z[k] = isOut ? -INFINITY : (cap == 0 ? logits[k] : cap * tanh);
            z[k] /= options.temperature();
            slope[k] = (1 - tanh * tanh) / options.temperature();
            double e = Math.exp(z[k]);
            sum += e;
            rest += isLabel[k] ? 0 : e;
            held += isLabel[k] ? e : 0;
        }
        lse = Math.log(sum);
        double entropies = 0;
        for (int k = 0; k < columns; k++) {
            p[k] = Math.exp(z[k] - lse);
            entropies -= p[k] == 0 ? 0 : p[k] * (z[k] - lse);
        }
        entropy = entropies;
        tail = held < rest ? Math.log1p(-held / sum) : Math.log(rest) - lse;
    }

    /** With upstream gradients of the labels, the entropy, the lse and the tail. */
    double[] gradient(long[] labels, double[] g, double h, double m, double t) {
        double[] gradient = new double[z.length];
        for (int j = 0; j < z.length; j++) {
            double ofZ = m * p[j] - (p[j] == 0 ? 0 : h * p[j] * (z[j] - lse + entropy));
            for (int k = 0; k < labels.length; k++) {
                if (labels[k] != IGNORED) {
                    ofZ += g[k] * ((labels[k] == j ? 1 : 0) - p[j]);
                }
            }
            if (t != 0) {
                ofZ += t * ((isLabel[j] ? 0 : Math.exp(z[j] - lse - tail)) - p[j]);
            }
            gradient[j] = p[j] == 0 ? 0 : ofZ * slope[j];
        }
        return gradient;
    }

    /** Values, each as F32 holds it. */
    static double[] rounded(double[] values) {
        return Arrays.stream(values).map(value -> (float) value).toArray();
    }

    /** One value, so many times. */
    static double[] filled(double value, int count) {
        double[] all = new double[count];
        Arrays.fill(all, value);
        return all;
    }
}
