package dev.logratio;

import dev.logratio.internal.check.BoundCall;

/**
 * An operation bound once to a backend and its tensors, to be run many times: checked and written
 * down at the start, so that a run costs little more than the computation and allocates nothing.
 *
 * <p>It has the arguments that the operation had when it was prepared. Its tensors cannot be closed
 * until it is; what they hold may change between runs, and a run looks at labels and masks anew.
 * One thread at a time may run it.
 *
 * {@snippet file="Examples.java" region="prepared"}
 *
 * @since 0.1.0
 */
public final class PreparedCall implements AutoCloseable {
    private final BoundCall call;

    PreparedCall(BoundCall call) {
        this.call = call;
    }

    /**
     * Computes; nothing is written if a check of the elements fails.
     *
     * @throws IllegalArgumentException if a label, mask or weight is out of range
     * @throws IllegalStateException if this is closed, or the arena of a tensor is
     */
    public void run() {
        call.run();
    }

    /** Lets go of the tensors; does nothing the second time. */
    @Override
    public void close() {
        call.close();
    }
}
