package dev.logratio.bench;

/**
 * The least time that memory allows an operation, from the times of plain probes over the same
 * memory.
 */
enum Limit {
    /** Bandwidth is no bound. */
    NONE,
    /** The memory is read once. */
    READ,
    /** The memory is rewritten once; a line is read before it is written. */
    UPDATE,
    /** The memory is read once, then read and rewritten once: bytes/read + 2*bytes/update. */
    READ_THEN_UPDATE,
    /**
     * The memory is read twice, then read and rewritten once: a forward whose maths needs
     * normalised probabilities.
     */
    READ_TWICE_THEN_UPDATE;

    /**
     * The limit in seconds.
     *
     * @param readSeconds time of a probe that reads the memory
     * @param updateSeconds time of a probe that rewrites the memory in place; its traffic is twice
     *     the bytes
     */
    double seconds(double readSeconds, double updateSeconds) {
        return switch (this) {
            case NONE -> throw new IllegalStateException("bandwidth is no bound");
            case READ -> readSeconds;
            case UPDATE -> updateSeconds;
            case READ_THEN_UPDATE -> readSeconds + updateSeconds;
            case READ_TWICE_THEN_UPDATE -> 2 * readSeconds + updateSeconds;
        };
    }

    /** Bytes read and written, from the bytes of the memory. */
    double traffic(double bytes) {
        return switch (this) {
            case NONE -> throw new IllegalStateException("bandwidth is no bound");
            case READ -> bytes;
            case UPDATE -> 2 * bytes;
            case READ_THEN_UPDATE -> 3 * bytes;
            case READ_TWICE_THEN_UPDATE -> 4 * bytes;
        };
    }
}
