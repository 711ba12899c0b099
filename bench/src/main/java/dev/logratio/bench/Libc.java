package dev.logratio.bench;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** The few functions of the C library that Java has no way to. */
final class Libc {
    private static final MethodHandle ISATTY =
            function("isatty", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
    private static final MethodHandle MMAP =
            function(
                    "mmap",
                    FunctionDescriptor.of(
                            ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
    private static final MethodHandle MUNMAP =
            function("munmap", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG));
    private static final MethodHandle MADVISE =
            function("madvise", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT));

    private static final int READ_AND_WRITE = 1 | 2;
    private static final int PRIVATE_AND_ANONYMOUS = 2 | 0x20;
    private static final long FAILED = -1;

    private Libc() {}

    private static MethodHandle function(String name, FunctionDescriptor type) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), type);
    }

    /** Whether a file descriptor is a terminal. */
    static boolean isTerminal(int descriptor) {
        try {
            return (int) ISATTY.invokeExact(descriptor) == 1;
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    /** Memory of the process's own that nothing has touched yet. */
    static MemorySegment map(long bytes) {
        MemorySegment start;
        try {
            start =
                    (MemorySegment)
                            MMAP.invokeExact(
                                    MemorySegment.NULL,
                                    bytes,
                                    READ_AND_WRITE,
                                    PRIVATE_AND_ANONYMOUS,
                                    -1,
                                    0L);
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
        if (start.address() == FAILED) {
            throw new BenchmarkFailedException("the system has no " + bytes + " bytes to map");
        }
        return start.reinterpret(bytes);
    }

    static void unmap(MemorySegment memory) {
        int status;
        try {
            status = (int) MUNMAP.invokeExact(memory, memory.byteSize());
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
        require(status, "munmap");
    }

    static void advise(MemorySegment memory, int advice) {
        int status;
        try {
            status = (int) MADVISE.invokeExact(memory, memory.byteSize(), advice);
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
        require(status, "madvise");
    }

    private static void require(int status, String function) {
        if (status != 0) {
            throw new BenchmarkFailedException(function + " failed on memory of ours");
        }
    }
}
