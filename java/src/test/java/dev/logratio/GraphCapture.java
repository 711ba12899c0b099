package dev.logratio;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.logratio.cuda.CudaStream;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Work captured on a stream as a graph, by the driver's functions: JCuda's runtime has none for it.
 */
final class GraphCapture implements AutoCloseable {
    /** CU_STREAM_CAPTURE_MODE_GLOBAL: whatever would break a capture is an error, on any thread. */
    private static final int STRICT = 0;

    private static final SymbolLookup DRIVER =
            SymbolLookup.libraryLookup("libcuda.so.1", Arena.global());
    private static final MethodHandle BEGIN =
            function("cuStreamBeginCapture_v2", ADDRESS, JAVA_INT);
    private static final MethodHandle END = function("cuStreamEndCapture", ADDRESS, ADDRESS);
    private static final MethodHandle INSTANTIATE =
            function("cuGraphInstantiateWithFlags", ADDRESS, ADDRESS, JAVA_LONG);
    private static final MethodHandle LAUNCH = function("cuGraphLaunch", ADDRESS, ADDRESS);
    private static final MethodHandle DESTROY = function("cuGraphExecDestroy", ADDRESS);
    private static final MethodHandle DESTROY_GRAPH = function("cuGraphDestroy", ADDRESS);

    private final CudaStream stream;
    private final MemorySegment executable;

    /** Captures what some work queues on a stream; none of it runs. */
    GraphCapture(CudaStream stream, Runnable work) {
        this.stream = stream;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment result = arena.allocate(ADDRESS);
            MemorySegment queue = MemorySegment.ofAddress(stream.address());
            check("cuStreamBeginCapture", (int) BEGIN.invokeExact(queue, STRICT));
            try {
                work.run();
            } finally {
                check("cuStreamEndCapture", (int) END.invokeExact(queue, result));
            }
            MemorySegment graph = result.get(ADDRESS, 0);
            check("cuGraphInstantiate", (int) INSTANTIATE.invokeExact(result, graph, 0L));
            executable = result.get(ADDRESS, 0);
            check("cuGraphDestroy", (int) DESTROY_GRAPH.invokeExact(graph));
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    void launch() {
        try {
            check(
                    "cuGraphLaunch",
                    (int)
                            LAUNCH.invokeExact(
                                    executable, MemorySegment.ofAddress(stream.address())));
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    @Override
    public void close() {
        try {
            check("cuGraphExecDestroy", (int) DESTROY.invokeExact(executable));
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    private static MethodHandle function(String name, ValueLayout... arguments) {
        return Linker.nativeLinker()
                .downcallHandle(
                        DRIVER.findOrThrow(name), FunctionDescriptor.of(JAVA_INT, arguments));
    }

    private static void check(String call, int result) {
        if (result != 0) {
            throw new IllegalStateException(call + " failed with CUresult " + result);
        }
    }
}
