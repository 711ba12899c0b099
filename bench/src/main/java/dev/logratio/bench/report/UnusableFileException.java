package dev.logratio.bench.report;

/** A file that cannot be used as it was meant to be; the message is one line that says why. */
public final class UnusableFileException extends RuntimeException {
    private static final long serialVersionUID = 1;

    UnusableFileException(String message) {
        super(message);
    }
}
