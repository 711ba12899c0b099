package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.stream.Stream;

/** The backends that a suite is run on. A backend that cannot run fails the test; nothing is skipped. */
final class TestBackends {
    private TestBackends() {}

    static Stream<Backend> all() {
        return Stream.of(Backend.reference(), cpu());
    }

    static Backend cpu() {
        Backend cpu = Backend.named("cpu");
        assertEquals("cpu", cpu.name());
        assertTrue(List.of("baseline", "avx2", "avx512", "avx512_bf16").contains(Logratio.instructionSet()));
        return cpu;
    }
}
