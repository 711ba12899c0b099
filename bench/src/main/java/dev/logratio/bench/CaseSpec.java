package dev.logratio.bench;

/**
 * A case by name, made when it is wanted.
 *
 * @param name what {@code --filter} matches
 * @param limit what bounds it
 * @param shape of its logits
 * @param opener allocates and fills the input
 */
record CaseSpec(String name, Limit limit, LogitShape shape, Opener opener) {
    /** Makes a case of rows and columns, of which libtorch works on one of so many parts. */
    @FunctionalInterface
    interface Opener {
        Case open(int rows, int columns, int libtorchParts);
    }

    /** A case in which libtorch works on the whole input. */
    Case open() {
        return open(1);
    }

    /**
     * A case in which libtorch may work on a part of the input alone: its cost is proportional to
     * the rows as long as they exceed the caches, and it is many times slower.
     */
    Case open(int libtorchParts) {
        return opener.open(bounded() ? shape.rows() : 0, shape.columns(), libtorchParts);
    }

    /** A case whose logits stay in the cache of one core. */
    Case openCached() {
        LogitShape cached = shape.cached();
        return opener.open(cached.cachedRows(), cached.columns(), 1);
    }

    /** Whether the bandwidth of memory is a bound. */
    boolean bounded() {
        return limit != Limit.NONE;
    }
}
