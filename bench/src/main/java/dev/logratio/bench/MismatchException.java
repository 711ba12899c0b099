package dev.logratio.bench;

/** Two implementations disagree, so their times mean nothing. */
final class MismatchException extends RuntimeException {
    private static final long serialVersionUID = 1;

    MismatchException(String message) {
        super(message);
    }
}
