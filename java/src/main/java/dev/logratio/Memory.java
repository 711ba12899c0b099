package dev.logratio;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * The memory behind a tensor and all its views, with a count of the calls that use it: memory in use cannot be freed, so that a close
 * at the wrong time is an exception and never a crash.
 */
final class Memory {
    private static final VarHandle USES;
    /** Far below zero, so that a late attempt to use closed memory cannot bring the count back to zero. */
    private static final int CLOSED = Integer.MIN_VALUE;

    static {
        try {
            USES = MethodHandles.lookup().findVarHandle(Memory.class, "uses", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final MemorySegment segment;
    private final Arena owned;
    private final Runnable onClose;
    private final boolean closable;

    @SuppressWarnings("unused") // through USES
    private volatile int uses;

    private Memory(MemorySegment segment, Arena owned, Runnable onClose, boolean closable) {
        this.segment = segment;
        this.owned = owned;
        this.onClose = onClose;
        this.closable = closable;
    }

    /** Memory that lives as long as its segment does; closing it does nothing. */
    static Memory borrowed(MemorySegment segment) {
        return new Memory(segment, null, null, false);
    }

    /** Memory whose arena is closed with it; {@code onClose} runs after that if it is not null. */
    static Memory owned(MemorySegment segment, Arena arena, Runnable onClose) {
        return new Memory(segment, arena, onClose, true);
    }

    /** Memory of a device, of which Java knows the address alone; {@code onClose} runs when it is closed if it is not null. */
    static Memory onDevice(long address, Runnable onClose) {
        return new Memory(MemorySegment.ofAddress(address), null, onClose, true);
    }

    MemorySegment segment() {
        return segment;
    }

    boolean isOpen() {
        return uses >= 0 && segment.scope().isAlive();
    }

    /** Keeps the memory from being closed until {@link #release}, if closing it is up to us; false if it is closed already. */
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

    void release() {
        if (closable) {
            USES.getAndAdd(this, -1);
        }
    }

    /** Frees owned memory; false if a call is using it. Closing twice does nothing. */
    boolean close() {
        if (!closable) {
            return true;
        }
        if (USES.compareAndSet(this, 0, CLOSED)) {
            if (owned != null) {
                owned.close();
            }
            if (onClose != null) {
                onClose.run();
            }
            return true;
        }
        return uses < 0;
    }
}
