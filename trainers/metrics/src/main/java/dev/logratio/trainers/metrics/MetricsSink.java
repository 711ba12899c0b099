package dev.logratio.trainers.metrics;

import java.util.List;
import java.util.Map;

/**
 * Takes the named values of training steps. The sinks of this package may be used from several
 * threads, refuse a step below the last one, and refuse every call after {@link #close} but another
 * {@code close}.
 *
 * @since 0.1.0
 */
@FunctionalInterface
public interface MetricsSink extends AutoCloseable {
    /**
     * Takes the values of a step, in their map's order. One step may come several times, as that of
     * a training batch and of the evaluation after it. No values, no record.
     *
     * @param step the number of the step; at least that of the call before
     * @param values by name; NaN and infinities are values. {@link StepValues} makes them
     * @throws IllegalArgumentException if the step is below the last one, or a name is blank
     * @throws IllegalStateException if the sink is closed
     * @throws NullPointerException if the values, a name or a value are null; the message names it
     * @throws java.io.UncheckedIOException if a file cannot be written; the message names it
     */
    void log(long step, Map<String, Double> values);

    /** Ends the sink. Does nothing by default, and nothing the second time. */
    @Override
    default void close() {}

    /**
     * Makes one sink of several. Each gets every call, in this order, even where one before it
     * throws; the first exception is thrown at the end, with the others as suppressed ones.
     *
     * @param sinks any number; the new sink closes them
     * @return the sink
     * @throws NullPointerException if one is null
     */
    static MetricsSink all(MetricsSink... sinks) {
        return new AllSinks(List.of(sinks));
    }
}
