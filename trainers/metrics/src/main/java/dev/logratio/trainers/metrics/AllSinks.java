package dev.logratio.trainers.metrics;

import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** Several sinks as one. A failure of one keeps nothing from the others. */
record AllSinks(List<MetricsSink> sinks) implements MetricsSink {
    @Override
    public void log(long step, Map<String, Double> values) {
        each(sink -> sink.log(step, values));
    }

    @Override
    public void close() {
        each(MetricsSink::close);
    }

    private void each(Consumer<MetricsSink> call) {
        RuntimeException first = null;
        for (MetricsSink sink : sinks) {
            try {
                call.accept(sink);
            } catch (RuntimeException e) {
                if (first == null) {
                    first = e;
                } else if (e != first) {
                    first.addSuppressed(e);
                }
            }
        }
        if (first != null) {
            throw first;
        }
    }
}
