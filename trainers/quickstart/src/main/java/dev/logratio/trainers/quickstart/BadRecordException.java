package dev.logratio.trainers.quickstart;

/** Says in one sentence why a record is not a preference pair. */
final class BadRecordException extends Exception {
    private static final long serialVersionUID = 1;

    BadRecordException(String reason) {
        super(reason);
    }
}
