package dev.logratio.internal.reference;

import dev.ludovic.netlib.blas.BLAS;

/** Netlib's matrix products: a native BLAS of the system, or its own in Java. */
final class NetlibProducts implements Products {
    private final BLAS blas = BLAS.getInstance();

    /** BLAS has matrices column by column, so that to it each is its transpose. */
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
        blas.dgemm(
                bTransposed ? "T" : "N",
                aTransposed ? "T" : "N",
                n,
                m,
                k,
                1,
                b,
                bTransposed ? k : n,
                a,
                aTransposed ? m : k,
                1,
                c,
                n);
    }

    @Override
    public String name() {
        return "netlib's " + blas.getClass().getSimpleName();
    }
}
