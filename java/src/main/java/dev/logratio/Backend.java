package dev.logratio;

import dev.logratio.internal.check.Engine;
import dev.logratio.internal.ffm.CpuBackend;
import dev.logratio.internal.ffm.CudaBackend;
import dev.logratio.internal.ffm.EmulatorBackend;
import dev.logratio.internal.reference.ReferenceBackend;

import java.util.List;
import java.util.Objects;

/**
 * What carries operations out. Backends are stateless and may be used by any number of threads at
 * once.
 *
 * <ul>
 *   <li>{@code reference}: plain float64 loops in Java; slow, exact, always there. It also takes
 *       F64 logits.
 *   <li>{@code cpu}: the native library's SIMD kernels.
 *   <li>{@code cuda}: the native library's CUDA kernels, on tensors in the memory of an NVIDIA GPU.
 *   <li>{@code emulator}: the CUDA kernels run on the host, thread by thread, for tests: no GPU is
 *       needed, and it is slow.
 * </ul>
 *
 * @since 0.1.0
 */
public sealed interface Backend permits Engine {
    /**
     * The float64 reference.
     *
     * @return the backend, always the same
     */
    static Backend reference() {
        return ReferenceBackend.INSTANCE;
    }

    /**
     * The native CPU backend. The first call loads the native library.
     *
     * @return the backend, always the same
     * @throws BackendUnavailableException if the library cannot be loaded or run here; the message
     *     says why and what to do
     */
    static Backend cpu() {
        return CpuBackend.instance();
    }

    /**
     * The CUDA backend, on the legacy default stream of the first device; {@link
     * dev.logratio.cuda.CudaStream#backend} is that on any stream.
     *
     * @return a backend
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     */
    static Backend cuda() {
        return CudaBackend.onDefaultStream(false);
    }

    /**
     * The CUDA backend on host tensors: a call copies them to the first device, computes there and
     * copies the outputs back. It is for checks and small work, where the copies do not matter.
     *
     * @return a backend
     * @throws BackendUnavailableException if there is no GPU, driver or CUDA library; the message
     *     says which
     */
    static Backend cudaOnHostTensors() {
        return CudaBackend.onDefaultStream(true);
    }

    /**
     * The emulator, which runs the CUDA kernels on the host, on host tensors: for tests. Its
     * library is not in the jar; the environment variable {@code LOGRATIO_EMULATOR} names the file
     * {@code liblogratio_emulator.so} of a build by an absolute path.
     *
     * @return the backend, always the same
     * @throws BackendUnavailableException if its library is not found
     */
    static Backend emulator() {
        return EmulatorBackend.instance();
    }

    /**
     * A backend by its name, on host tensors.
     *
     * @param name {@code "reference"}, {@code "cpu"}, {@code "cuda"} (which is {@link
     *     #cudaOnHostTensors}) or {@code "emulator"}
     * @return the backend
     * @throws IllegalArgumentException if no backend has this name
     * @throws BackendUnavailableException if it cannot run here
     */
    static Backend named(String name) {
        return switch (Objects.requireNonNull(name, "name")) {
            case "reference" -> reference();
            case "cpu" -> cpu();
            case "cuda" -> cudaOnHostTensors();
            case "emulator" -> emulator();
            default -> throw Backends.unknown(name);
        };
    }

    /**
     * Every backend that this version knows.
     *
     * @return one entry per backend, with the reason where it cannot run here
     */
    static List<BackendInfo> all() {
        return Backends.all();
    }

    /**
     * The backend's name.
     *
     * @return as {@link #named} takes it
     */
    String name();

    /** The backend's name. */
    @Override
    String toString();
}
