package dev.logratio.trainers.metrics;

import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.Tags;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Shows the latest values as gauges of a Micrometer registry, which an application hands to
 * Prometheus, JMX and others. {@code rewards/chosen} is the gauge {@code
 * logratio.train.rewards.chosen}, {@code eval_rewards/chosen} is {@code
 * logratio.eval.rewards.chosen}, and {@code logratio.step} is the last step. They leave the
 * registry when the sink is closed.
 *
 * <p>It needs {@code io.micrometer:micrometer-core} on the class path, which the application
 * brings; nothing else in this package does.
 *
 * @since 0.1.0
 */
public final class MicrometerSink extends CheckedSink {
    private static final String PREFIX = "logratio.";

    private final MeterRegistry registry;
    private final Tags tags;
    private final Map<String, ValueGauge> gauges = new LinkedHashMap<>();

    private record ValueGauge(Gauge gauge, AtomicReference<Double> value) {}

    private MicrometerSink(MeterRegistry registry, Tags tags) {
        super("the Micrometer sink");
        this.registry = registry;
        this.tags = tags;
    }

    /**
     * Makes a sink. Several runs of one process need tags to tell them apart.
     *
     * @param registry holds the gauges
     * @param tags of every gauge
     * @return the sink; close it
     * @throws NullPointerException if an argument is null; the message names it
     */
    public static MicrometerSink of(MeterRegistry registry, Tag... tags) {
        return new MicrometerSink(
                Objects.requireNonNull(registry, "registry"),
                Tags.of(Objects.requireNonNull(tags, "tags")));
    }

    @Override
    void write(long step, Map<String, Double> values) {
        set("step", step);
        values.forEach((name, value) -> set(StepValues.tag(name).replace('/', '.'), value));
    }

    private void set(String name, double value) {
        gauges.computeIfAbsent(PREFIX + name, this::register).value().set(value);
    }

    private ValueGauge register(String name) {
        // The registry would hand out the gauge that it has, and the new one would show nothing.
        if (registry.find(name).tags(tags).meter() != null) {
            throw new IllegalStateException(
                    "the registry holds "
                            + name
                            + " already; expected other tags for a second sink");
        }
        AtomicReference<Double> value = new AtomicReference<>(Double.NaN);
        Gauge gauge =
                Gauge.builder(name, value, AtomicReference::get).tags(tags).register(registry);
        return new ValueGauge(gauge, value);
    }

    @Override
    void end() {
        gauges.values().forEach(gauge -> registry.remove(gauge.gauge()));
    }
}
