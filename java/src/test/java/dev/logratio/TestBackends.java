package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

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

    /** As {@link #all()}, without the reference that they are compared with. */
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
                                    .contains(backend.detail()),
                            backend::detail);
            case "cuda" ->
                    assertTrue(
                            backend instanceof CudaBackend
                                    && backend.detail().contains("compute capability"),
                            backend::detail);
            case "emulator" ->
                    assertTrue(
                            backend instanceof EmulatorBackend && !backend.detail().isEmpty(),
                            backend::detail);
            default -> throw new AssertionError(name);
        }
        return backend;
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
