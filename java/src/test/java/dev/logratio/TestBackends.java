package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.internal.check.Engine;
import dev.logratio.internal.ffm.CudaBackend;
import dev.logratio.internal.ffm.EmulatorBackend;
import dev.logratio.internal.reference.ReferenceBackend;

import java.util.List;
import java.util.stream.Stream;

/**
 * The backends that a suite is run on: those that run anywhere or, as the check of a GPU machine
 * has it, the one that the system property {@code logratio.test.backend} names. A backend that
 * cannot run fails the test; nothing is skipped.
 */
public final class TestBackends {
    private static final String ONLY = System.getProperty("logratio.test.backend");

    private TestBackends() {}

    static Stream<Backend> all() {
        return names().map(TestBackends::named);
    }

    /** All but the reference, which they are compared with. */
    static Stream<Backend> natives() {
        return all().filter(backend -> backend != Backend.reference());
    }

    /** The names of {@link #all()}. */
    public static Stream<String> names() {
        return ONLY == null ? Stream.of("reference", "cpu", "emulator") : Stream.of(ONLY);
    }

    /** A backend, after a look whether it is the one that was meant. */
    static Backend named(String name) {
        Backend backend = Backend.named(name);
        assertEquals(name, backend.name());
        switch (name) {
            case "reference" -> assertTrue(backend instanceof ReferenceBackend);
            case "cpu" ->
                    assertTrue(
                            List.of("baseline", "avx2", "avx512", "avx512_bf16")
                                    .contains(detail(backend)),
                            () -> detail(backend));
            case "cuda" ->
                    assertTrue(
                            backend instanceof CudaBackend
                                    && detail(backend).contains("compute capability"),
                            () -> detail(backend));
            case "emulator" ->
                    assertTrue(
                            backend instanceof EmulatorBackend && !detail(backend).isEmpty(),
                            () -> detail(backend));
            default -> throw new AssertionError(name);
        }
        return backend;
    }

    /** What a backend runs on. */
    static String detail(Backend backend) {
        return ((Engine) backend).detail();
    }

    static Backend cpu() {
        return named("cpu");
    }

    /**
     * Whether work should be kept small: the emulator takes some thousand times as long as a GPU.
     */
    static boolean isSlow(Backend backend) {
        return backend instanceof EmulatorBackend;
    }
}
