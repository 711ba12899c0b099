package dev.logratio.bench;

import dev.logratio.bindings.logratio_h;

/** Status of calls that go straight to the C interface. */
final class Native {
    private Native() {}

    /** Throws with the library's own text unless the status is OK. */
    static void check(int status) {
        if (status != logratio_h.LR_OK()) {
            throw new IllegalStateException(logratio_h.lr_last_error().getString(0));
        }
    }
}
