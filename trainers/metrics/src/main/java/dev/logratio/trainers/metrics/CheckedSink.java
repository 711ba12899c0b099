package dev.logratio.trainers.metrics;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.Objects;

/** What all sinks of this package check, one call at a time. */
abstract class CheckedSink implements MetricsSink {
    private final String name;
    private long last = Long.MIN_VALUE;
    private boolean closed;

    /**
     * A sink.
     *
     * @param name begins its error messages
     */
    CheckedSink(String name) {
        this.name = name;
    }

    /** Writes one record; nothing remains of one that fails. */
    abstract void write(long step, Map<String, Double> values) throws IOException;

    /** Ends the sink; called once. */
    abstract void end() throws IOException;

    @Override
    public final synchronized void log(long step, Map<String, Double> values) {
        if (closed) {
            throw new IllegalStateException(name + " is closed; expected an open sink");
        }
        check(values);
        if (step < last) {
            throw new IllegalArgumentException(
                    "step is " + step + "; expected " + last + ", the last one, or more");
        }
        if (values.isEmpty()) {
            return;
        }
        try {
            write(step, values);
        } catch (IOException e) {
            throw new UncheckedIOException(name + " cannot be written: " + RecordFile.reason(e), e);
        }
        last = step;
    }

    private static void check(Map<String, Double> values) {
        Objects.requireNonNull(values, "values");
        values.forEach(
                (name, value) -> {
                    if (Objects.requireNonNull(name, "a name of values").isBlank()) {
                        throw new IllegalArgumentException(
                                "a name of values is blank; expected one such as loss");
                    }
                    Objects.requireNonNull(value, () -> "values[" + name + "]");
                });
    }

    @Override
    public final synchronized void close() {
        if (closed) {
            return;
        }
        closed = true;
        try {
            end();
        } catch (IOException e) {
            throw new UncheckedIOException(name + " cannot be closed: " + RecordFile.reason(e), e);
        }
    }
}
