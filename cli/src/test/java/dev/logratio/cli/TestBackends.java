package dev.logratio.cli;

import java.util.stream.Stream;

/**
 * The backends that a suite is run on: those that run anywhere or, as the check of a GPU machine
 * has it, the one that the system property {@code logratio.test.backend} names. A backend that
 * cannot run fails the test; nothing is skipped.
 */
final class TestBackends {
    private static final String ONLY = System.getProperty("logratio.test.backend");

    private TestBackends() {}

    static Stream<String> names() {
        return ONLY == null ? Stream.of("reference", "cpu", "emulator") : Stream.of(ONLY);
    }
}
