package dev.logratio.internal.reference;

/** Matrix products in plain loops: each element is summed from the first term to the last. */
final class PlainProducts implements Products {
    @Override
    public void add(
            boolean aTransposed,
            boolean bTransposed,
            int m,
            int n,
            int k,
            double[] a,
            double[] b,
            double[] c) {
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                double sum = 0;
                for (int l = 0; l < k; l++) {
                    double left = a[aTransposed ? l * m + i : i * k + l];
                    double right = b[bTransposed ? j * k + l : l * n + j];
                    sum += left * right;
                }
                c[i * n + j] += sum;
            }
        }
    }

    @Override
    public String name() {
        return "plain loops";
    }
}
