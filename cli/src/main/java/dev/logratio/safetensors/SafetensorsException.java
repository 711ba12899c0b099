package dev.logratio.safetensors;

import java.io.IOException;
import java.io.Serial;

/**
 * A file is not valid safetensors, or holds what this library does not read; the message is one
 * line saying what and where.
 *
 * @since 0.1.0
 */
public final class SafetensorsException extends IOException {
    @Serial private static final long serialVersionUID = 1L;

    SafetensorsException(String message) {
        super(message);
    }
}
