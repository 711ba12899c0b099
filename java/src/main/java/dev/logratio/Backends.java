package dev.logratio;

import dev.logratio.internal.check.Engine;

import java.util.List;
import java.util.Optional;

/** The backends by name. */
final class Backends {
    /** Set where the emulator is asked for: it is for tests, and else not listed. */
    private static final String EMULATOR = "LOGRATIO_EMULATOR";

    private Backends() {}

    static List<BackendInfo> all() {
        return names().stream().map(Backends::info).toList();
    }

    private static List<String> names() {
        List<String> published = List.of("reference", "cpu", "cuda");
        return System.getenv(EMULATOR) == null
                ? published
                : List.of("reference", "cpu", "cuda", "emulator");
    }

    private static BackendInfo info(String name) {
        try {
            Backend backend = Backend.named(name);
            return new BackendInfo(name, Optional.of(backend), ((Engine) backend).detail());
        } catch (BackendUnavailableException e) {
            return new BackendInfo(name, Optional.empty(), e.getMessage());
        }
    }

    static IllegalArgumentException unknown(String name) {
        return new IllegalArgumentException(
                "backend is \"" + name + "\", expected one of " + String.join(", ", names()));
    }
}
