package dev.logratio.bench;

import dev.logratio.DType;

/**
 * How large the logits of a case are: well beyond any cache, or within the one that a core has to
 * itself.
 *
 * @param dtype of the logits
 * @param sides sets of logits of the same shape
 * @param leastRows rows that a side comes in multiples of
 * @param columns the vocabulary
 */
record LogitShape(DType dtype, int sides, int leastRows, int columns) {
    /** What a case without logits has. */
    static final LogitShape NONE = new LogitShape(DType.F32, 0, 0, 0);

    private static final long MEMORY_BYTES = 1L << 30;

    /**
     * libtorch's backward holds the logits, the log-probs and a gradient of each; the check of BF16
     * does so in float32.
     */
    private static final int COPIES_NEEDED = 10;

    private static final int ROW_STEP = 64;

    /** Where the machine does not tell: small for a core of today, so that the rows stay in it. */
    private static final long USUAL_CACHE = 512 << 10;

    /** Rows of about 1 GiB, or of what the free memory lets libtorch take. */
    int rows() {
        long bytes = Math.min(MEMORY_BYTES, SystemFiles.availableMemory() / COPIES_NEEDED);
        long all = bytes / ((long) columns * dtype.bytes()) / ROW_STEP * ROW_STEP;
        return (int) Math.max(all, ROW_STEP) / sides;
    }

    /**
     * The same in half of a core's second cache. The other half is for what refills the rows; rows
     * that are too long for it are halved, which leaves the work per element as it is.
     */
    LogitShape cached() {
        int fitting = columns;
        while (fitting > 1 && bytes(leastRows, fitting) > cacheBytes()) {
            fitting /= 2;
        }
        return new LogitShape(dtype, sides, leastRows, fitting);
    }

    /** Rows that fill half of a core's second cache. */
    int cachedRows() {
        long fitting = cacheBytes() / bytes(leastRows, columns);
        return leastRows * (int) Math.max(1, fitting);
    }

    private long bytes(int rows, int width) {
        return (long) sides * rows * width * dtype.bytes();
    }

    private static long cacheBytes() {
        return SystemFiles.cache(2, USUAL_CACHE) / 2;
    }
}
