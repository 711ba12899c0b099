package dev.logratio.internal.tensor;

import dev.logratio.bindings.NativeMemory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * The memory behind a tensor and all its views, with a count of those that use it: memory in use
 * cannot be freed, so that a close at the wrong time is an exception and never a crash. The count
 * alone guards memory that is ours to close. (An arena would too, but to close a shared one takes
 * milliseconds where other threads are busy.)
 */
final class Memory {
    private static final VarHandle USES;

    /**
     * Far below zero, so that a late attempt to use closed memory cannot bring the count back to
     * zero.
     */
    private static final int CLOSED = Integer.MIN_VALUE;

    static {
        try {
            USES = MethodHandles.lookup().findVarHandle(Memory.class, "uses", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /** What a {@code try} releases at its end. */
    interface Use extends AutoCloseable {
        @Override
        void close();
    }

    private final MemorySegment segment;
    private final boolean closable;
    private final Runnable onClose;
    private final Use use = this::release;

    @SuppressWarnings("unused") // through USES
    private volatile int uses;

    /** Owns the segments that callers were given; null until the first. Guarded by this. */
    private Arena lent;

    private Memory(MemorySegment segment, boolean closable, Runnable onClose) {
        this.segment = segment;
        this.closable = closable;
        this.onClose = onClose;
    }

    /** Memory that lives as long as its segment does; closing it does nothing. */
    static Memory borrowed(MemorySegment segment) {
        return new Memory(segment, false, null);
    }

    /** Memory that is there until it is closed; {@code onClose} runs then if it is not null. */
    static Memory owned(MemorySegment segment, Runnable onClose) {
        return new Memory(segment, true, onClose);
    }

    MemorySegment segment() {
        return segment;
    }

    boolean isOpen() {
        return uses >= 0 && segment.scope().isAlive();
    }

    /**
     * Keeps the memory from being closed until {@link #release}, if closing it is up to us; false
     * if it is closed already.
     */
    boolean acquire() {
        if (!closable) {
            return segment.scope().isAlive();
        }
        if ((int) USES.getAndAdd(this, 1) >= 0) {
            return true;
        }
        release();
        return false;
    }

    /** Releases the memory when it is closed; for one who has acquired it. */
    Use use() {
        return use;
    }

    void release() {
        if (closable) {
            USES.getAndAdd(this, -1);
        }
    }

    /**
     * A part of the memory as a caller may keep it: a segment that is closed with the memory. The
     * caller has acquired the memory.
     */
    synchronized MemorySegment lend(MemorySegment part) {
        boolean closesByItself = !part.scope().equals(Arena.global().scope());
        if (!closable || closesByItself) {
            return part;
        }
        if (lent == null) {
            lent = Arena.ofShared();
        }
        return NativeMemory.within(part, lent);
    }

    /** Frees owned memory; false if it is in use. Closing twice does nothing. */
    boolean close() {
        if (!closable) {
            return true;
        }
        if (!USES.compareAndSet(this, 0, CLOSED)) {
            return uses < 0;
        }
        if (!closeLent()) {
            USES.getAndAdd(this, -CLOSED);
            return false;
        }
        if (onClose != null) {
            onClose.run();
        }
        return true;
    }

    private synchronized boolean closeLent() {
        try {
            if (lent != null) {
                lent.close();
            }
            return true;
        } catch (IllegalStateException e) {
            return false; // a native function was given a segment, and runs
        }
    }
}
