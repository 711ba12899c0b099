package dev.logratio.trainers.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

class MicrometerSinkTest {
    private final SimpleMeterRegistry registry = new SimpleMeterRegistry();

    private double value(String name, String... tags) {
        return registry.get(name).tags(tags).gauge().value();
    }

    @Test
    void gaugesShowTheLatestValues() {
        try (MetricsSink sink = MicrometerSink.of(registry)) {
            sink.log(1, Map.of("loss", .5, "rewards/chosen", 2.0));
            System.gc();
            assertEquals(.5, value("logratio.train.loss"));
            sink.log(2, Map.of("loss", Double.NaN, "eval_rewards/chosen", -1.0));
            assertEquals(Double.NaN, value("logratio.train.loss"));
            assertEquals(2, value("logratio.train.rewards.chosen"));
            assertEquals(-1, value("logratio.eval.rewards.chosen"));
            assertEquals(2, value("logratio.step"));
        }
        assertEquals(0, registry.getMeters().size(), "all have left");
    }

    @Test
    void tagsTellRunsApart() {
        try (MetricsSink one = MicrometerSink.of(registry, Tag.of("run", "one"));
                MetricsSink two = MicrometerSink.of(registry, Tag.of("run", "two"));
                MetricsSink again = MicrometerSink.of(registry, Tag.of("run", "two"))) {
            one.log(1, Map.of("loss", 1.0));
            two.log(9, Map.of("loss", 2.0));
            assertEquals(1, value("logratio.train.loss", "run", "one"));
            assertEquals(2, value("logratio.train.loss", "run", "two"));
            assertEquals(
                    "the registry holds logratio.step already; expected other tags for a second"
                            + " sink",
                    assertThrows(
                                    IllegalStateException.class,
                                    () -> again.log(1, Map.of("loss", 3.0)))
                            .getMessage());
        }
        assertEquals(0, registry.getMeters().size());
    }

    /** Everything but the sink itself works where Micrometer is not on the class path. */
    @Test
    void nothingElseNeedsMicrometer(@TempDir Path folder) throws Exception {
        URL[] without =
                Arrays.stream(System.getProperty("java.class.path").split(":"))
                        .filter(entry -> !entry.contains("micrometer"))
                        .map(entry -> url(Path.of(entry)))
                        .toArray(URL[]::new);
        try (URLClassLoader loader =
                new URLClassLoader(without, ClassLoader.getPlatformClassLoader())) {
            assertThrows(
                    ClassNotFoundException.class,
                    () -> loader.loadClass("io.micrometer.core.instrument.MeterRegistry"));
            Class<?> user = loader.loadClass(WithoutMicrometer.class.getName());
            assertEquals(
                    "{\"step\":1,\"loss\":0.5}\n",
                    user.getMethod("run", Path.class).invoke(null, folder));
        }
    }

    private static URL url(Path entry) {
        try {
            return URI.create(entry.toUri().toString()).toURL();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
