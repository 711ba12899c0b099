package dev.logratio.internal.ffm;

import dev.logratio.BackendUnavailableException;
import dev.logratio.bindings.logratio_h;

/** What the native functions return, as exceptions. */
final class NativeStatus {
    private NativeStatus() {}

    /** Throws what a status stands for; the text is the calling thread's last error. */
    static void check(int status) {
        if (status != logratio_h.LR_OK()) {
            throw exception(status, logratio_h.lr_last_error().getString(0));
        }
    }

    /** What a status other than OK stands for. */
    static RuntimeException exception(int status, String text) {
        if (status == logratio_h.LR_INVALID_ARGUMENT()) {
            return new IllegalArgumentException(text);
        }
        if (status == logratio_h.LR_UNAVAILABLE()) {
            return new BackendUnavailableException(text);
        }
        if (status == logratio_h.LR_OUT_OF_MEMORY()) {
            throw new OutOfMemoryError(text);
        }
        return new IllegalStateException(text);
    }
}
