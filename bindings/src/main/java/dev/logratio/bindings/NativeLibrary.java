package dev.logratio.bindings;

import java.io.File;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Loads the native library, so that the functions of {@link logratio_h} can be called.
 *
 * <p>It is looked for, in this order: the file that the system property {@value #PATH_PROPERTY}
 * names; the libraries in the jar, copied to {@code $XDG_CACHE_HOME/logratio} (by default {@code
 * ~/.cache/logratio}), or to a folder for this process alone in {@code java.io.tmpdir} where that
 * cannot be written or loaded from; {@code liblogratio.so} in {@code java.library.path}.
 *
 * <p>Nothing is loaded from a folder where other users could have put it: where {@code
 * ~/.cache/logratio} or a folder above it is such, the temporary folder is used and a warning
 * logged; where XDG_CACHE_HOME leads to such a folder, or the named file lies where everybody can
 * write, that is an error.
 */
public final class NativeLibrary {
    /** The system property that names the library's file. */
    public static final String PATH_PROPERTY = "logratio.library";

    /** The version that a library must have. */
    public static final int ABI_VERSION = logratio_h.LR_ABI_VERSION;

    private static final Logger LOGGER = System.getLogger(NativeLibrary.class.getName());
    private static final String FILE_NAME = System.mapLibraryName("logratio");

    private static boolean warned;
    private static String location;
    private static volatile SymbolLookup functions;

    private NativeLibrary() {}

    /**
     * Loads the library if it is not loaded yet. Safe from any thread. Success stays; after a
     * failure the next call tries again.
     *
     * @return where the library comes from: its file, or {@code java.library.path}
     * @throws NativeLibraryException if it is missing, has another ABI version than these bindings,
     *     or may not be loaded
     */
    public static synchronized String load() {
        if (location == null) {
            try {
                location =
                        loadNamed()
                                .or(NativeLibrary::loadBundled)
                                .orElseGet(NativeLibrary::loadInstalled);
            } catch (IllegalCallerException e) {
                throw new NativeLibraryException(
                        "native access is denied: start java with --enable-native-access="
                                + nameOf(NativeLibrary.class.getModule()),
                        e);
            }
        }
        return location;
    }

    private static String nameOf(Module module) {
        return module.isNamed() ? module.getName() : "ALL-UNNAMED";
    }

    /** The library's functions, for {@link logratio_h}: none before it is loaded. */
    static SymbolLookup functions() {
        return name -> functions == null ? Optional.empty() : functions.find(name);
    }

    private static Optional<String> loadNamed() {
        String name = System.getProperty(PATH_PROPERTY);
        if (name == null) {
            return Optional.empty();
        }
        Path file =
                path(name)
                        .map(Path::toAbsolutePath)
                        .filter(Files::isRegularFile)
                        .orElseThrow(
                                () ->
                                        new NativeLibraryException(
                                                "the system property "
                                                        + PATH_PROPERTY
                                                        + " names "
                                                        + name
                                                        + ", which is not a file",
                                                null));
        loadFile(unlessShared(file, "the system property " + PATH_PROPERTY + " names "));
        return Optional.of(file.toString());
    }

    private static Optional<String> loadBundled() {
        try {
            Optional<NativeBundle> bundle = NativeBundle.find(Platform.current());
            if (bundle.isEmpty()) {
                return Optional.empty();
            }
            Path file = install(bundle.get()).resolve(NativeBundle.MAIN_LIBRARY);
            loadFile(file);
            return Optional.of(file.toString());
        } catch (IOException e) {
            throw new NativeLibraryException(
                    "the native library could not be copied out of the jar ("
                            + reason(e)
                            + "): make "
                            + System.getProperty("java.io.tmpdir")
                            + " a folder that libraries can be written to and loaded from, or set"
                            + " XDG_CACHE_HOME to one",
                    e);
        }
    }

    /** Copies libraries to where they can be loaded from; the folder that they are in. */
    static synchronized Path install(NativeBundle bundle) throws IOException {
        Optional<LibraryCache.Root> root = LibraryCache.root();
        if (root.isPresent()) {
            try {
                return LibraryCache.install(bundle, root.get().path());
            } catch (UntrustedFolderException e) {
                if (root.get().named()) {
                    throw new NativeLibraryException(
                            "XDG_CACHE_HOME leads to "
                                    + root.get().path()
                                    + ", which is not safe to load"
                                    + " libraries from: "
                                    + e.getMessage()
                                    + "; name a folder that you alone can write",
                            e);
                }
                Level level = warned ? Level.DEBUG : Level.WARNING;
                warned = true;
                LOGGER.log(
                        level,
                        root.get().path()
                                + " is not safe to load libraries from: "
                                + e.getMessage()
                                + "; they are copied to a temporary folder instead, which takes"
                                + " longer");
            } catch (IOException e) {
                LOGGER.log(
                        Level.DEBUG,
                        "the library cache is unusable, a temporary folder is used instead",
                        e);
            }
        }
        PrivateFolder folder = PrivateFolder.inTemporaryFolder(bundle.libraries());
        folder.deleteOnExit();
        return folder.path();
    }

    /**
     * What went wrong, in words: those exceptions of the JDK that tell a file's name alone need
     * their own name beside it.
     */
    private static String reason(IOException e) {
        return e instanceof FileSystemException ? e.toString() : e.getMessage();
    }

    private static String loadInstalled() {
        Optional<Path> installed = findInstalled(FILE_NAME);
        if (installed.isPresent()) {
            loadFile(installed.get());
            return "java.library.path";
        }
        String platform = Platform.current();
        throw new NativeLibraryException(
                platform.equals(Platform.SUPPORTED)
                        ? "the native library was not found: the system property "
                                + PATH_PROPERTY
                                + " is not set, the jar holds none for "
                                + platform
                                + ", and java.library.path ("
                                + libraryPath()
                                + ") leads to none: use the published jar, or name the file with -D"
                                + PATH_PROPERTY
                                + "=FILE"
                        : "this is "
                                + platform
                                + ", and natives exist for "
                                + Platform.SUPPORTED
                                + " only; the reference backend works everywhere",
                null);
    }

    /** A path, unless the locale cannot spell it, so that it leads nowhere. */
    private static Optional<Path> path(String name) {
        try {
            return Optional.of(Path.of(name));
        } catch (InvalidPathException e) {
            return Optional.empty();
        }
    }

    /** The path without symbolic links of a file that the user named. */
    private static Path unlessShared(Path file, String whoNamesIt) {
        try {
            Path real = file.toRealPath();
            FolderTrust.requireNotShared(real);
            return real;
        } catch (IOException e) {
            throw new NativeLibraryException(
                    whoNamesIt + file + ", which is not loaded: " + reason(e), e);
        }
    }

    /**
     * The file that {@code java.library.path} leads to.
     *
     * @param fileName of a library
     * @return the first file of this name, without symbolic links; empty if there is none
     * @throws NativeLibraryException if it lies where others could have put it: where everybody can
     *     write, or in the current folder, which an empty or relative entry stands for
     */
    public static Optional<Path> findInstalled(String fileName) {
        for (String folder : libraryPath().split(File.pathSeparator, -1)) {
            Optional<Path> file =
                    path(folder).map(at -> at.resolve(fileName)).filter(Files::isRegularFile);
            if (file.isPresent()) {
                if (!file.get().isAbsolute()) {
                    throw new NativeLibraryException(
                            "java.library.path leads to "
                                    + file.get()
                                    + " in the current folder, which is not"
                                    + " loaded: give its folders by absolute paths",
                            null);
                }
                return Optional.of(unlessShared(file.get(), "java.library.path leads to "));
            }
        }
        return Optional.empty();
    }

    private static String libraryPath() {
        return System.getProperty("java.library.path", "");
    }

    /**
     * Opens a library past the JVM, which would let one class loader alone have it: every class
     * loader of a process gets the same library, with one pool of threads. It stays open for good.
     */
    private static void loadFile(Path file) {
        try (Arena trial = Arena.ofConfined()) {
            checkAbiVersion(open(file, trial), file);
            functions = open(file, Arena.global());
        }
    }

    private static SymbolLookup open(Path file, Arena arena) {
        try {
            return SymbolLookup.libraryLookup(file, arena);
        } catch (IllegalArgumentException e) {
            throw new NativeLibraryException(
                    "the native library could not be loaded ("
                            + reasonNotToLoad(file)
                            + "): name one that fits"
                            + " this system with -D"
                            + PATH_PROPERTY
                            + "=FILE",
                    e);
        }
    }

    /**
     * What the system's loader has to say about a library that it does not load; the lookup above
     * does not tell.
     */
    private static String reasonNotToLoad(Path file) {
        try {
            System.load(file.toString());
            return file + ": it could be loaded at the second attempt only";
        } catch (UnsatisfiedLinkError e) {
            return e.getMessage();
        }
    }

    private static void checkAbiVersion(SymbolLookup library, Path file) {
        MemorySegment function =
                library.find("lr_abi_version")
                        .orElseThrow(
                                () ->
                                        new NativeLibraryException(
                                                "the library loaded from "
                                                        + file
                                                        + " is not Logratio's: it has no"
                                                        + " lr_abi_version",
                                                null));
        int actual = call(function);
        if (actual != ABI_VERSION) {
            throw new NativeLibraryException(
                    "the library loaded from "
                            + file
                            + " has ABI version "
                            + Integer.toUnsignedString(actual)
                            + ", these bindings need "
                            + ABI_VERSION
                            + ": use the library and the jar of one release",
                    null);
        }
    }

    /**
     * Calls {@code int function(void)}. The bindings would remember its address, of a library that
     * may be the wrong one.
     */
    static int call(MemorySegment function) {
        try {
            return (int)
                    Linker.nativeLinker()
                            .downcallHandle(function, FunctionDescriptor.of(ValueLayout.JAVA_INT))
                            .invokeExact();
        } catch (IllegalCallerException e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError("a C function throws nothing", e);
        }
    }
}
