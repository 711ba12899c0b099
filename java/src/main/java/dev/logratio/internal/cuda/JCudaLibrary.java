package dev.logratio.internal.cuda;

import dev.logratio.BackendUnavailableException;
import dev.logratio.bindings.NativeLibrary;
import dev.logratio.bindings.NativeLibraryException;
import dev.logratio.bindings.PrivateFolder;

import jcuda.JCudaVersion;
import jcuda.LibUtils;
import jcuda.runtime.JCuda;

import java.io.IOException;
import java.io.InputStream;
import java.lang.invoke.MethodHandles;
import java.util.Map;

/**
 * Has JCuda load its native library from where nobody else can have put it. By itself JCuda takes
 * any file of the right name that lies in {@code java.io.tmpdir}, where everybody can write.
 */
public final class JCudaLibrary {
    private static final String TEMPORARY_FOLDER = "java.io.tmpdir";

    private static final String DOES_NOT_LOAD =
            "CUDA is unavailable: JCuda's native library does not load: put the jar jcuda-natives"
                    + " on the class path, or with modules pass --add-modules java.logging"
                    + " --patch-module jcuda=FILE with it, or"
                    + " name a folder that holds libJCudaRuntime with -Djava.library.path";

    private static boolean loaded;

    private JCudaLibrary() {}

    /**
     * Loads it if this was not done yet. After a failure the next call tries again.
     *
     * @throws BackendUnavailableException if it cannot be loaded; the message says why
     */
    public static synchronized void load() {
        if (loaded) {
            return;
        }
        try {
            String name = LibUtils.createPlatformLibraryName("JCudaRuntime-" + JCudaVersion.get());
            String file = LibUtils.createLibraryFileName(name);
            boolean isInstalled = NativeLibrary.findInstalled(file).isPresent();
            try (PrivateFolder folder = PrivateFolder.of(inJar(file, isInstalled))) {
                load(name, folder);
            }
            loaded = true;
        } catch (NativeLibraryException e) {
            throw new BackendUnavailableException("CUDA is unavailable: " + e.getMessage(), e);
        } catch (IOException e) {
            throw new BackendUnavailableException(
                    "CUDA is unavailable: JCuda's native library could not be copied out of its jar"
                            + " ("
                            + e.getMessage()
                            + "): set java.io.tmpdir or XDG_CACHE_HOME to a folder that you alone"
                            + " can write",
                    e);
        } catch (LinkageError e) {
            throw isDenied(e)
                    ? new BackendUnavailableException(
                            "CUDA is unavailable: native access is denied: start java with"
                                    + " --enable-native-access=jcuda",
                            e)
                    : new BackendUnavailableException(DOES_NOT_LOAD, e);
        }
    }

    private static Map<String, byte[]> inJar(String file, boolean isInstalled) throws IOException {
        try (InputStream stream = LibUtils.class.getResourceAsStream("/lib/" + file)) {
            if (stream != null) {
                return Map.of(file, stream.readAllBytes());
            }
        }
        if (!isInstalled) {
            throw new BackendUnavailableException(DOES_NOT_LOAD);
        }
        return Map.of();
    }

    /**
     * JCuda reads the property when it loads the library. That is done once before its class is
     * initialised, which does it again to no effect: a class whose initialisation fails stays
     * unusable.
     */
    private static void load(String name, PrivateFolder folder) {
        String before = System.setProperty(TEMPORARY_FOLDER, folder.path().toString());
        try {
            LibUtils.loadLibrary(name);
            MethodHandles.lookup().ensureInitialized(JCuda.class);
        } catch (IllegalAccessException e) {
            throw new AssertionError("JCuda's class is public", e);
        } finally {
            System.setProperty(TEMPORARY_FOLDER, before);
        }
    }

    /** JCuda puts the stack traces of what it caught into its message. */
    private static boolean isDenied(LinkageError e) {
        return String.valueOf(e.getMessage()).contains(IllegalCallerException.class.getName());
    }
}
