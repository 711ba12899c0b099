package dev.logratio.internal.reference;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;

/**
 * Products of float64 matrices, which lie in arrays row by row. Netlib makes them where it is on
 * the path, and loops elsewhere.
 */
interface Products {
    /**
     * Adds {@code op(a) op(b)} to {@code c}.
     *
     * @param aTransposed whether a is [k,m], and [m,k] otherwise
     * @param bTransposed whether b is [n,k], and [k,n] otherwise
     * @param c [m,n]
     */
    void add(
            boolean aTransposed,
            boolean bTransposed,
            int m,
            int n,
            int k,
            double[] a,
            double[] b,
            double[] c);

    /** What makes them. */
    String name();

    /** The one of this process. */
    static Products instance() {
        return Bound.PRODUCTS;
    }

    /** Bound when the first product is made. */
    final class Bound {
        private static final Logger LOGGER = System.getLogger("dev.logratio");
        private static final Products PRODUCTS = bind();

        private Bound() {}

        private static Products bind() {
            Products products;
            try {
                products = new NetlibProducts();
            } catch (LinkageError e) {
                products = new PlainProducts(); // netlib is not there
            }
            LOGGER.log(
                    Level.DEBUG,
                    "matrix products of the reference are made by {0}",
                    products.name());
            return products;
        }
    }
}
