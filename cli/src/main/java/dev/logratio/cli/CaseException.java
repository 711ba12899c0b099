package dev.logratio.cli;

import java.io.Serial;

/** A case cannot be evaluated; the message names the thing at fault and what was expected. */
final class CaseException extends Exception {
    @Serial private static final long serialVersionUID = 1L;

    CaseException(String message) {
        super(message);
    }
}
