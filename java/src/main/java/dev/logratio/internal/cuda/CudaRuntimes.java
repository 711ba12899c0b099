package dev.logratio.internal.cuda;

import dev.logratio.BackendUnavailableException;
import dev.logratio.Logratio;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;

/**
 * Which runtime this process uses: JCuda's where its classes are on the path and its native library
 * loads, the native library's own otherwise. The choice is logged at debug level.
 */
final class CudaRuntimes {
    private static final Logger LOGGER = System.getLogger("dev.logratio.cuda");

    private static volatile CudaRuntime chosen;

    private CudaRuntimes() {}

    /**
     * Nothing of JCuda is touched before the native library has found a device. Success alone is
     * remembered.
     */
    static CudaRuntime get() {
        CudaRuntime known = chosen;
        return known == null ? choose() : known;
    }

    private static synchronized CudaRuntime choose() {
        if (chosen == null) {
            Logratio.cudaDevice(0);
            String why = whyNotJCuda();
            chosen = why == null ? new JCudaRuntime() : new LibraryRuntime();
            LOGGER.log(
                    Level.DEBUG,
                    why == null
                            ? "device memory, streams and events are JCuda's"
                            : "device memory, streams and events are the native library's: " + why);
        }
        return chosen;
    }

    /** Null if JCuda can be used. */
    private static String whyNotJCuda() {
        try {
            Class.forName("jcuda.runtime.JCuda", false, CudaRuntimes.class.getClassLoader());
        } catch (ClassNotFoundException e) {
            return "JCuda is not on the path";
        }
        try {
            JCudaLibrary.load();
            return null;
        } catch (BackendUnavailableException e) {
            return e.getMessage();
        }
    }
}
