package dev.logratio.bindings;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Loads the native library, so that the functions of {@link logratio_h} can be called.
 *
 * <p>It is looked for, in this order: the file that the system property {@value #PATH_PROPERTY} names; the libraries in the
 * jar, copied to {@code $XDG_CACHE_HOME/logratio} (by default {@code ~/.cache/logratio}), or to a folder for this process
 * alone in {@code java.io.tmpdir} where that cannot be written; {@code liblogratio.so} in {@code java.library.path}.
 */
public final class NativeLibrary {
    /** The system property that names the library's file. */
    public static final String PATH_PROPERTY = "logratio.library";

    private static final Logger LOGGER = System.getLogger(NativeLibrary.class.getName());

    private static String location;
    private static NativeLibraryException failure;

    private NativeLibrary() {}

    /**
     * Loads the library if it is not loaded yet. Safe from any thread; the first outcome stays, a failure too.
     *
     * @return where the library comes from: its file, or {@code java.library.path}
     * @throws NativeLibraryException if it is missing, has another ABI version than these bindings, or may not be loaded
     */
    public static synchronized String load() {
        if (location == null && failure == null) {
            try {
                location = loadFirstFound();
            } catch (NativeLibraryException e) {
                failure = e;
            }
        }
        if (failure != null) {
            throw new NativeLibraryException(failure.getMessage(), failure);
        }
        return location;
    }

    private static String loadFirstFound() {
        try {
            String loaded = loadNamed()
                    .or(NativeLibrary::loadBundled)
                    .orElseGet(NativeLibrary::loadInstalled);
            checkAbiVersion(loaded);
            return loaded;
        } catch (IllegalCallerException e) {
            String whom = NativeLibrary.class.getModule().isNamed() ? NativeLibrary.class.getModule().getName() : "ALL-UNNAMED";
            throw new NativeLibraryException(
                    "native access is denied: start java with --enable-native-access=" + whom, e);
        }
    }

    private static Optional<String> loadNamed() {
        String name = System.getProperty(PATH_PROPERTY);
        if (name == null) {
            return Optional.empty();
        }
        Path file = Path.of(name).toAbsolutePath();
        if (!Files.isRegularFile(file)) {
            throw new NativeLibraryException(
                    "the system property " + PATH_PROPERTY + " names " + file + ", which is not a file", null);
        }
        return Optional.of(loadFile(file));
    }

    private static Optional<String> loadBundled() {
        try {
            Optional<NativeBundle> bundle = NativeBundle.find(Platform.current());
            if (bundle.isEmpty()) {
                return Optional.empty();
            }
            return Optional.of(loadFile(install(bundle.get()).resolve(NativeBundle.MAIN_LIBRARY)));
        } catch (IOException e) {
            throw new NativeLibraryException(
                    "the native library could not be copied out of the jar (" + e + "): make "
                            + System.getProperty("java.io.tmpdir") + " writable, or set XDG_CACHE_HOME to a folder that is",
                    e);
        }
    }

    private static Path install(NativeBundle bundle) throws IOException {
        Optional<Path> root = cacheRoot(System.getenv("XDG_CACHE_HOME"), System.getProperty("user.home"));
        if (root.isPresent()) {
            try {
                return LibraryCache.install(bundle, root.get());
            } catch (IOException e) {
                LOGGER.log(Level.DEBUG, "the library cache is unusable, a temporary folder is used instead", e);
            }
        }
        return LibraryCache.installForThisProcess(bundle);
    }

    /** Relative paths do not count: the XDG specification says so, and a user without a home has {@code ?} for one. */
    static Optional<Path> cacheRoot(String xdgCacheHome, String userHome) {
        if (xdgCacheHome != null && Path.of(xdgCacheHome).isAbsolute()) {
            return Optional.of(Path.of(xdgCacheHome, "logratio"));
        }
        return Optional.ofNullable(userHome)
                .map(home -> Path.of(home, ".cache", "logratio"))
                .filter(Path::isAbsolute);
    }

    private static String loadInstalled() {
        try {
            System.loadLibrary("logratio");
            return "java.library.path";
        } catch (UnsatisfiedLinkError e) {
            String platform = Platform.current();
            throw new NativeLibraryException(platform.equals(Platform.SUPPORTED)
                    ? "the native library was not found: the system property " + PATH_PROPERTY + " is not set, the jar holds none for "
                            + platform + ", and java.library.path (" + System.getProperty("java.library.path")
                            + ") leads to none: use the published jar, or name the file with -D" + PATH_PROPERTY + "=FILE"
                    : "this is " + platform + ", and natives exist for " + Platform.SUPPORTED
                            + " only; the reference backend works everywhere",
                    e);
        }
    }

    private static String loadFile(Path file) {
        try {
            System.load(file.toString());
            return file.toString();
        } catch (UnsatisfiedLinkError e) {
            throw new NativeLibraryException(
                    "the native library could not be loaded (" + e.getMessage() + "): name one that fits this system with -D"
                            + PATH_PROPERTY + "=FILE",
                    e);
        }
    }

    private static void checkAbiVersion(String loaded) {
        if (SymbolLookup.loaderLookup().find("lr_abi_version").isEmpty()) {
            throw new NativeLibraryException(
                    "the library loaded from " + loaded + " is not Logratio's: it has no lr_abi_version", null);
        }
        int expected = logratio_h.LR_ABI_VERSION();
        int actual = logratio_h.lr_abi_version();
        if (actual != expected) {
            throw new NativeLibraryException(
                    "the library loaded from " + loaded + " has ABI version " + Integer.toUnsignedString(actual)
                            + ", these bindings need " + expected + ": use the library and the jar of one release",
                    null);
        }
    }
}
