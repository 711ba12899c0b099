package dev.logratio.bindings;

import java.io.IOException;
import java.nio.file.Path;

/**
 * A folder's file system is mounted so that nothing on it can be executed, or loaded as a library.
 */
final class NoExecutionException extends IOException {
    private static final long serialVersionUID = 1L;

    NoExecutionException(Path folder) {
        super(folder + " is on a file system that is mounted noexec");
    }
}
