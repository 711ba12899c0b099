package dev.logratio.bench;

/**
 * A benchmark without a figure: two implementations disagree, so their times mean nothing, or JMH
 * could not run it.
 */
final class BenchmarkFailedException extends RuntimeException {
    private static final long serialVersionUID = 1;

    BenchmarkFailedException(String message) {
        super(message);
    }

    BenchmarkFailedException(String message, Throwable cause) {
        super(message, cause);
    }
}
