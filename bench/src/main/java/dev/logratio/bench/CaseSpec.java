package dev.logratio.bench;

import java.util.function.IntFunction;

/**
 * A case by name, made when it is wanted.
 *
 * @param name what {@code --filter} matches
 * @param limit what bounds it
 * @param opener allocates and fills the input, from the number of parts that libtorch works on one
 *     of
 */
record CaseSpec(String name, Limit limit, IntFunction<Case> opener) {
    /** A case in which libtorch works on the whole input. */
    Case open() {
        return opener.apply(1);
    }

    /**
     * A case in which libtorch may work on a part of the input alone: its cost is proportional to
     * the rows as long as they exceed the caches, and it is many times slower.
     */
    Case open(int libtorchParts) {
        return opener.apply(libtorchParts);
    }
}
