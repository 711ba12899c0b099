package dev.logratio.internal.check;

/** A checked call that holds its tensors, and what a backend has written down of it. */
public final class BoundCall implements AutoCloseable {
    private final Call call;
    private final Engine.Bound bound;
    private final boolean checksValues;
    private boolean closed;

    BoundCall(Call call, Engine engine) {
        this.call = call;
        this.bound = engine.bind(call);
        this.checksValues = !engine.checksValues();
    }

    /** Carries the call out; the elements may have changed since, and are checked again. */
    public void run() {
        if (closed) {
            throw new IllegalStateException("the prepared call is closed");
        }
        call.requireAccess();
        if (checksValues) {
            call.checkValues();
        }
        call.signature().rules().warn(call);
        bound.run();
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            call.release();
        }
    }
}
