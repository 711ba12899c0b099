package dev.logratio.bindings;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * The libraries of matrix products that jars of others may bring: those of oneDNN and OpenBLAS that
 * Bytedeco publishes, of which the native files alone are used.
 */
public enum GemmLibrary {
    /** oneDNN, of {@code org.bytedeco:dnnl:linux-x86_64}. */
    DNNL("org/bytedeco/dnnl/linux-x86_64", "libgomp.so.1", "libdnnl.so.3"),
    /** OpenBLAS, of {@code org.bytedeco:openblas:linux-x86_64}. */
    OPENBLAS(
            "org/bytedeco/openblas/linux-x86_64",
            "libgcc_s.so.1",
            "libquadmath.so.0",
            "libgfortran.so.5",
            "libopenblas.so.0");

    private final String folder;
    private final List<String> files; // what the last one needs, and it

    GemmLibrary(String folder, String... files) {
        this.folder = folder;
        this.files = List.of(files);
    }

    /**
     * Copies the library to where it can be loaded from, as the library's own files are.
     *
     * @return its file; empty where no jar on the class path brings it, or none for this platform
     * @throws IOException if it cannot be copied
     */
    public Optional<Path> install() throws IOException {
        if (!Platform.current().equals(Platform.SUPPORTED)) {
            return Optional.empty();
        }
        Optional<NativeBundle> bundle = NativeBundle.of(folder, files);
        return bundle.isEmpty()
                ? Optional.empty()
                : Optional.of(NativeLibrary.install(bundle.get()).resolve(files.getLast()));
    }
}
