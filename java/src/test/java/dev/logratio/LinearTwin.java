package dev.logratio;

import java.lang.foreign.Arena;

/**
 * The way of a linear operation in plain loops: logits in float64 from a head, and from the logits'
 * gradient the head's. Between the two stands the operation's twin on logits.
 *
 * @param hidden [..,H]
 * @param weight [V,H]
 * @param bias [V] or null
 */
record LinearTwin(Tensor hidden, Tensor weight, Tensor bias) {
    /** Gradients as numbers in row-major order. */
    record Gradients(double[] hidden, double[] weight, double[] bias) {}

    /**
     * Compares a gradient of hidden states of a dtype or their head. It is a sum of products, whose
     * terms cancel: made of float32, it is good to 1e-5 of the largest. Gradients of logits may be
     * rounded to BF16 or F16 on their way to it, by 2^-9 or 2^-12 each.
     */
    static void expect(String what, DType dtype, double[] expected, double[] actual) {
        switch (dtype) {
            case F32 -> Expect.near(what, expected, actual, 2e-5, 1e-5);
            case BF16 -> Expect.near(what, expected, actual, 0x1p-7, 5e-3);
            case F16 -> Expect.near(what, expected, actual, 0x1p-10, 2e-3);
            default -> throw new AssertionError(dtype);
        }
    }

    private int size() {
        return (int) weight.size(1);
    }

    private int vocabulary() {
        return (int) weight.size(0);
    }

    private int rows() {
        return (int) (hidden.elementCount() / size());
    }

    /** F64, of the hidden states' shape but for the last dimension. */
    Tensor logits(Arena arena) {
        double[] x = hidden.toDoubles();
        double[] w = weight.toDoubles();
        double[] b = bias == null ? new double[vocabulary()] : bias.toDoubles();
        double[] logits = new double[rows() * vocabulary()];
        for (int n = 0; n < rows(); n++) {
            for (int v = 0; v < vocabulary(); v++) {
                double sum = 0;
                for (int h = 0; h < size(); h++) {
                    sum += x[n * size() + h] * w[v * size() + h];
                }
                logits[n * vocabulary() + v] = sum + b[v];
            }
        }
        long[] shape = hidden.shape();
        shape[shape.length - 1] = vocabulary();
        return Tensor.of(arena, DType.F64, logits, shape);
    }

    /**
     * A row whose logits have gradient 0 takes no part; nor has a column from {@code columns} on.
     */
    Gradients gradients(Tensor gradLogits, int columns) {
        double[] x = hidden.toDoubles();
        double[] w = weight.toDoubles();
        double[] g = gradLogits.toDoubles();
        double[] ofHidden = new double[x.length];
        double[] ofWeight = new double[w.length];
        double[] ofBias = new double[vocabulary()];
        for (int n = 0; n < rows(); n++) {
            for (int v = 0; v < columns && isLive(g, n); v++) {
                double ofLogit = g[n * vocabulary() + v];
                ofBias[v] += ofLogit;
                for (int h = 0; h < size(); h++) {
                    ofHidden[n * size() + h] += ofLogit * w[v * size() + h];
                    ofWeight[v * size() + h] += ofLogit * x[n * size() + h];
                }
            }
        }
        return new Gradients(ofHidden, ofWeight, ofBias);
    }

    private boolean isLive(double[] g, int row) {
        for (int v = 0; v < vocabulary(); v++) {
            if (g[row * vocabulary() + v] != 0) {
                return true;
            }
        }
        return false;
    }
}
