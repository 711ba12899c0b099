package dev.logratio.bench;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.logratio.DType;
import dev.logratio.GemmInfo;
import dev.logratio.Tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/**
 * Products of whole matrices by the library that the fused linear operations use, one call each and
 * as many threads as the library takes: what their own time is compared with.
 */
final class PlainGemm {
    private static final int ROW_MAJOR = 101;
    private static final int PLAIN = 111;
    private static final int TRANSPOSED = 112;

    private final MethodHandle function;
    private final boolean isOneDnn;

    private PlainGemm(MethodHandle function, boolean isOneDnn) {
        this.function = function;
        this.isOneDnn = isOneDnn;
    }

    /**
     * Opens a library.
     *
     * @param arena how long it stays open
     * @param dtype F32, or BF16 where the library takes it
     * @throws BenchmarkFailedException if there is none, as with the own products
     */
    static PlainGemm of(Arena arena, GemmInfo library, DType dtype) {
        if (library.path().isEmpty()) {
            throw new BenchmarkFailedException(
                    "--linear compares with a library of matrix products, and none was found");
        }
        SymbolLookup symbols = SymbolLookup.libraryLookup(Path.of(library.path()), arena);
        boolean isOneDnn = symbols.find("dnnl_sgemm").isPresent();
        String name =
                !isOneDnn
                        ? "cblas_sgemm"
                        : dtype == DType.BF16 ? "dnnl_gemm_bf16bf16f32" : "dnnl_sgemm";
        FunctionDescriptor type =
                isOneDnn
                        ? FunctionDescriptor.of(
                                JAVA_INT,
                                JAVA_BYTE,
                                JAVA_BYTE,
                                JAVA_LONG,
                                JAVA_LONG,
                                JAVA_LONG,
                                JAVA_FLOAT,
                                ADDRESS,
                                JAVA_LONG,
                                ADDRESS,
                                JAVA_LONG,
                                JAVA_FLOAT,
                                ADDRESS,
                                JAVA_LONG)
                        : FunctionDescriptor.ofVoid(
                                JAVA_INT,
                                JAVA_INT,
                                JAVA_INT,
                                JAVA_INT,
                                JAVA_INT,
                                JAVA_INT,
                                JAVA_FLOAT,
                                ADDRESS,
                                JAVA_INT,
                                ADDRESS,
                                JAVA_INT,
                                JAVA_FLOAT,
                                ADDRESS,
                                JAVA_INT);
        MethodHandle function =
                Linker.nativeLinker().downcallHandle(symbols.findOrThrow(name), type);
        return new PlainGemm(function, isOneDnn);
    }

    /**
     * {@code c = a b}, contiguous, c F32.
     *
     * @param a [m,k], or [k,m] if it is taken transposed
     * @param b [k,n], or [n,k] if it is taken transposed
     * @param c [m,n]
     */
    void multiply(Tensor a, boolean transposeA, Tensor b, boolean transposeB, Tensor c) {
        long rows = c.size(0);
        long columns = c.size(1);
        long depth = a.size(transposeA ? 0 : 1);
        MemorySegment x = a.segment();
        MemorySegment y = b.segment();
        MemorySegment z = c.segment();
        try {
            if (isOneDnn) {
                int status =
                        (int)
                                function.invokeExact(
                                        letter(transposeA),
                                        letter(transposeB),
                                        rows,
                                        columns,
                                        depth,
                                        1f,
                                        x,
                                        a.size(1),
                                        y,
                                        b.size(1),
                                        0f,
                                        z,
                                        columns);
                if (status != 0) {
                    throw new BenchmarkFailedException("oneDNN's product failed: " + status);
                }
            } else {
                function.invokeExact(
                        ROW_MAJOR,
                        transposeA ? TRANSPOSED : PLAIN,
                        transposeB ? TRANSPOSED : PLAIN,
                        (int) rows,
                        (int) columns,
                        (int) depth,
                        1f,
                        x,
                        (int) a.size(1),
                        y,
                        (int) b.size(1),
                        0f,
                        z,
                        (int) columns);
            }
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    private static byte letter(boolean transposed) {
        return (byte) (transposed ? 'T' : 'N');
    }
}
