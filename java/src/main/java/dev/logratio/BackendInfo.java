package dev.logratio;

import java.util.Optional;

/**
 * A backend that this version knows, whether or not it can run here.
 *
 * @param name its name, as {@link Backend#named} takes it
 * @param backend the backend, or empty if it cannot run here
 * @param detail what it runs on, or the reason why it cannot
 * @since 0.1.0
 */
public record BackendInfo(String name, Optional<Backend> backend, String detail) {}
