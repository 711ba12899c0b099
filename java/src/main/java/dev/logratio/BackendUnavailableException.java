package dev.logratio;

/**
 * A backend cannot run on this machine; the message says why and, where there is something to do
 * about it, what.
 *
 * @since 0.1.0
 */
public class BackendUnavailableException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /**
     * A backend that cannot run.
     *
     * @param message one sentence that says why
     */
    public BackendUnavailableException(String message) {
        super(message);
    }

    /**
     * A backend that cannot run.
     *
     * @param message one sentence that says why
     * @param cause what was thrown while it was being set up
     */
    public BackendUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }
}
