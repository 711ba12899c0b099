package dev.logratio;

import dev.logratio.internal.ffm.CpuBackend;
import dev.logratio.internal.ffm.CudaBackend;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/**
 * The library: its version, what its native part runs on, how many threads that uses, and what
 * makes its matrix products.
 *
 * @since 0.1.0
 */
public final class Logratio {
    private Logratio() {}

    /**
     * The library's version.
     *
     * @return for instance {@code "1.2.3"}
     */
    public static String version() {
        // Maven writes it there.
        try (InputStream file = Logratio.class.getResourceAsStream("version")) {
            if (file == null) {
                throw new IllegalStateException("the jar lacks its file dev/logratio/version");
            }
            return new String(file.readAllBytes(), StandardCharsets.UTF_8).strip();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * The instruction set that the CPU backend's kernels run on; the environment variable {@code
     * LOGRATIO_CPU} caps the choice.
     *
     * @return {@code "baseline"}, {@code "avx2"}, {@code "avx512"} or {@code "avx512_bf16"}
     * @throws BackendUnavailableException if the CPU backend cannot run here
     */
    public static String instructionSet() {
        return CpuBackend.instance().detail();
    }

    /**
     * Threads that an operation of the CPU backend may use, the caller included. It never changes
     * results.
     *
     * @return by default the environment variable {@code LOGRATIO_THREADS}, else the CPUs that this
     *     process may run on or the CPU quota of its control groups, rounded up, whichever is less
     * @throws BackendUnavailableException if the CPU backend cannot run here
     */
    public static int threads() {
        return CpuBackend.instance().threads();
    }

    /**
     * Sets how many threads an operation of the CPU backend may use, for the whole process.
     *
     * @param threads 1 to 1024, the caller included
     * @throws IllegalArgumentException if the number is out of range
     * @throws BackendUnavailableException if the CPU backend cannot run here
     */
    public static void setThreads(int threads) {
        CpuBackend.instance().setThreads(threads);
    }

    /**
     * What makes the CPU backend's matrix products, of the linear operations. The first call, or
     * the first such operation, opens it: the library that the environment variable {@code
     * LOGRATIO_BLAS} names by its path ({@code own} for none), else oneDNN or OpenBLAS from a jar
     * of Bytedeco on the class path, else the system's.
     *
     * @return the library; where none was found, the own products
     * @throws BackendUnavailableException if the CPU backend cannot run here, or {@code
     *     LOGRATIO_BLAS} names what cannot serve
     */
    public static GemmInfo gemm() {
        return CpuBackend.instance().gemm();
    }

    /**
     * What makes the matrix products of the linear operations on a CUDA device.
     *
     * @param index from 0
     * @return the library: cuBLASLt
     * @throws BackendUnavailableException if the device or the library cannot be used; the message
     *     says what is missing
     */
    public static GemmInfo cudaGemm(int index) {
        return CudaBackend.gemm(index);
    }

    /**
     * What a CUDA device is.
     *
     * @param index from 0
     * @return its name, versions and sizes
     * @throws BackendUnavailableException if it cannot be used; the message says what is missing
     */
    public static DeviceInfo cudaDevice(int index) {
        return CudaBackend.info(index);
    }
}
