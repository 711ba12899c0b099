package dev.logratio.bindings;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * Memory outside the Java heap without an arena: any thread frees it within a microsecond, whereas
 * closing a shared arena waits for every other thread. Nothing but the care of its owner keeps such
 * memory from being used after it is freed.
 */
@SuppressWarnings("restricted") // this module is the one that is given native access
public final class NativeMemory {
    /** Bytes that memory of a device is aligned to. */
    public static final int DEVICE_ALIGNMENT = logratio_h.LR_DEVICE_ALIGNMENT;

    // Both null where Java denies this module native access; arenas, which need none, then take
    // their place.
    private static final MethodHandle CALLOC =
            function("calloc", FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG));
    private static final MethodHandle FREE = function("free", FunctionDescriptor.ofVoid(JAVA_LONG));

    private NativeMemory() {}

    /**
     * New memory.
     *
     * @param segment zeros; the system provides much of it page by page, when it is first touched
     * @param free frees it; to be run once
     */
    public record Block(MemorySegment segment, Runnable free) {}

    /** Bytes on a device, rounded up so that what follows them is aligned. */
    public static long deviceBytes(long bytes) {
        return (bytes + DEVICE_ALIGNMENT - 1) / DEVICE_ALIGNMENT * DEVICE_ALIGNMENT;
    }

    /**
     * Allocates zeros.
     *
     * @param bytes &ge; 0
     * @param alignment of the address, a power of two
     * @return the memory
     * @throws OutOfMemoryError if there is no such memory left
     */
    public static Block allocate(long bytes, long alignment) {
        if (CALLOC == null) {
            Arena arena = Arena.ofShared();
            try {
                return new Block(arena.allocate(bytes, alignment), arena::close);
            } catch (RuntimeException | Error e) {
                arena.close();
                throw e;
            }
        }
        long room =
                bytes + alignment; // calloc knows which memory is zero already, but aligns to two
        // words only
        long start = room < bytes ? 0 : calloc(room);
        if (start == 0) {
            throw new OutOfMemoryError("cannot allocate " + bytes + " bytes");
        }
        long aligned = start + alignment - 1 & -alignment;
        return new Block(at(aligned, bytes), () -> free(start));
    }

    /**
     * Allocates zeros that an arena frees.
     *
     * @param arena what frees the memory
     * @param bytes &ge; 0
     * @param alignment of the address, a power of two
     * @return the memory
     * @throws OutOfMemoryError if there is no such memory left
     */
    public static MemorySegment allocate(Arena arena, long bytes, long alignment) {
        if (CALLOC == null) {
            return arena.allocate(bytes, alignment);
        }
        Block block = allocate(bytes, alignment);
        try {
            return block.segment().reinterpret(arena, memory -> block.free().run());
        } catch (RuntimeException | Error e) {
            block.free().run();
            throw e;
        }
    }

    /**
     * The memory at an address, for as long as somebody sees to it that it is there.
     *
     * @param address of the first byte
     * @param bytes &ge; 0
     * @return the memory, which no arena closes
     */
    public static MemorySegment at(long address, long bytes) {
        return Everything.SEGMENT.asSlice(address, bytes);
    }

    /**
     * The same memory, closed with an arena.
     *
     * @param segment native memory that no arena closes
     * @param arena what closes it
     * @return the memory
     */
    public static MemorySegment within(MemorySegment segment, Arena arena) {
        return segment.reinterpret(arena, null);
    }

    /**
     * A slice of this asks for nothing; each {@code reinterpret} finds out who calls it, which can
     * take microseconds.
     */
    private static final class Everything {
        static final MemorySegment SEGMENT = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);
    }

    private static MethodHandle function(String name, FunctionDescriptor type) {
        try {
            Linker linker = Linker.nativeLinker();
            return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), type);
        } catch (IllegalCallerException e) {
            return null;
        }
    }

    private static long calloc(long bytes) {
        try {
            return (long) CALLOC.invokeExact(1L, bytes);
        } catch (Throwable e) {
            throw new AssertionError(e); // a C function throws nothing
        }
    }

    private static void free(long start) {
        try {
            FREE.invokeExact(start);
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }
}
