package dev.logratio.trainers.metrics;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** What all sinks have in common. */
class MetricsSinkTest {
    @TempDir private Path folder;

    enum Kind {
        JSON_LINES("metrics.jsonl"),
        TENSOR_BOARD("events.out.tfevents"),
        MICROMETER("the Micrometer sink");

        private final String name;

        Kind(String name) {
            this.name = name;
        }

        MetricsSink open(Path folder) throws IOException {
            return switch (this) {
                case JSON_LINES -> JsonLinesSink.open(folder.resolve("metrics.jsonl"));
                case TENSOR_BOARD -> TensorBoardSink.open(folder);
                case MICROMETER -> MicrometerSink.of(new SimpleMeterRegistry());
            };
        }
    }

    private static String message(Class<? extends Exception> kind, Runnable call) {
        return assertThrows(kind, call::run).getMessage();
    }

    @ParameterizedTest
    @EnumSource
    void aClosedSinkRefusesMore(Kind kind) throws IOException {
        MetricsSink sink = kind.open(folder);
        sink.close();
        assertDoesNotThrow(sink::close);
        String message =
                message(IllegalStateException.class, () -> sink.log(1, Map.of("loss", 1.0)));
        assertTrue(message.contains(kind.name), message);
        assertTrue(message.endsWith(" is closed; expected an open sink"), message);
    }

    @ParameterizedTest
    @EnumSource
    void stepsDoNotGoBack(Kind kind) throws IOException {
        try (MetricsSink sink = kind.open(folder)) {
            sink.log(7, Map.of("loss", 1.0));
            sink.log(7, Map.of("eval_loss", 1.0));
            assertEquals(
                    "step is 6; expected 7, the last one, or more",
                    message(IllegalArgumentException.class, () -> sink.log(6, Map.of("loss", 1.))));
            sink.log(8, Map.of("loss", 1.0));
        }
    }

    @ParameterizedTest
    @EnumSource
    void valuesAreNamedNumbers(Kind kind) throws IOException {
        Map<String, Double> empty = new HashMap<>();
        empty.put("loss", null);
        Map<String, Double> unnamed = new HashMap<>();
        unnamed.put(null, 1.0);
        try (MetricsSink sink = kind.open(folder)) {
            assertEquals(
                    "values[loss]", message(NullPointerException.class, () -> sink.log(1, empty)));
            assertEquals(
                    "a name of values",
                    message(NullPointerException.class, () -> sink.log(1, unnamed)));
            assertEquals("values", message(NullPointerException.class, () -> sink.log(1, null)));
            assertEquals(
                    "a name of values is blank; expected one such as loss",
                    message(IllegalArgumentException.class, () -> sink.log(1, Map.of(" ", 1.0))));
        }
    }

    @ParameterizedTest
    @EnumSource(names = "MICROMETER", mode = EnumSource.Mode.EXCLUDE)
    void noValuesNoRecord(Kind kind) throws IOException {
        try (MetricsSink sink = kind.open(folder)) {
            Path file = onlyFile();
            long before = Files.size(file);
            sink.log(5, Map.of());
            assertEquals(before, Files.size(file));
            sink.log(1, Map.of("loss", 1.0));
            assertTrue(Files.size(file) > before);
        }
    }

    private Path onlyFile() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.findFirst().orElseThrow();
        }
    }

    @ParameterizedTest
    @EnumSource(names = "MICROMETER", mode = EnumSource.Mode.EXCLUDE)
    void aFolderThatCannotBeMadeIsNamed(Kind kind) throws IOException {
        Path file = Files.createFile(folder.resolve("in-the-way"));
        String message =
                assertThrows(IOException.class, () -> kind.open(file.resolve("run"))).getMessage();
        assertTrue(message.startsWith(file.resolve("run").toString()), message);
        assertTrue(message.contains(" cannot be opened for writing: " + file), message);
    }

    @Test
    void aFullDiskIsSaid() throws IOException {
        Path full = Path.of("/dev/full");
        assumeTrue(Files.isWritable(full), "/dev/full is not there");
        MetricsSink sink = JsonLinesSink.open(full);
        assertEquals(
                "/dev/full cannot be written: No space left on device",
                message(UncheckedIOException.class, () -> sink.log(1, Map.of("loss", 1.0))));
    }

    @Test
    void allSinksGetEveryCallAndAreClosed() {
        List<String> seen = new ArrayList<>();
        MetricsSink failing =
                (step, values) -> {
                    throw new IllegalStateException("full");
                };
        MetricsSink recording =
                new MetricsSink() {
                    @Override
                    public void log(long step, Map<String, Double> values) {
                        seen.add(step + " " + values);
                    }

                    @Override
                    public void close() {
                        seen.add("closed");
                    }
                };
        MetricsSink all = MetricsSink.all(failing, recording, failing);
        IllegalStateException thrown =
                assertThrows(IllegalStateException.class, () -> all.log(3, Map.of("loss", 1.0)));
        assertEquals("full", thrown.getMessage());
        assertEquals(1, thrown.getSuppressed().length);
        all.close();
        assertEquals(List.of("3 {loss=1.0}", "closed"), seen);
    }

    @Test
    void theTestsOwnChecksumIsTheStandards() {
        TfRecords.checkAgainstTheStandard();
    }
}
