package dev.logratio.trainers.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

class JsonLinesSinkTest {
    @TempDir private Path folder;

    private Path file() {
        return folder.resolve("run/metrics.jsonl");
    }

    private List<JsonNode> lines() throws IOException {
        List<JsonNode> lines = new ArrayList<>();
        for (String line : Files.readAllLines(file())) {
            lines.add(new ObjectMapper().readTree(line));
        }
        return lines;
    }

    @Test
    void oneLinePerStepInTheOrderOfTheValues() throws IOException {
        Map<String, Double> values = new LinkedHashMap<>();
        values.put("loss", .5);
        values.put("rewards/chosen", -1.25);
        try (MetricsSink sink = JsonLinesSink.open(file())) {
            sink.log(1, values);
            sink.log(1, Map.of("eval_loss", 2.0));
        }
        assertEquals(
                "{\"step\":1,\"loss\":0.5,\"rewards/chosen\":-1.25}\n"
                        + "{\"step\":1,\"eval_loss\":2.0}\n",
                Files.readString(file()));
    }

    @Test
    void numbersReadBackToTheBit() throws IOException {
        Random random = new Random(1);
        Map<String, Double> values = new LinkedHashMap<>();
        for (int i = 0; i < 1000; i++) {
            double value = Double.longBitsToDouble(random.nextLong());
            values.put("v" + i, Double.isFinite(value) ? value : i);
        }
        try (MetricsSink sink = JsonLinesSink.open(file())) {
            sink.log(Long.MAX_VALUE, values);
        }
        JsonNode line = lines().getFirst();
        assertEquals(Long.MAX_VALUE, line.get("step").longValue());
        values.forEach((name, value) -> assertEquals(value, line.get(name).doubleValue(), name));
    }

    @Test
    void whatJsonDoesNotHaveIsAString() throws IOException {
        try (MetricsSink sink = JsonLinesSink.open(file())) {
            sink.log(1, Map.of("nan", Double.NaN));
            sink.log(2, Map.of("inf", Double.POSITIVE_INFINITY));
            sink.log(3, Map.of("minus", Double.NEGATIVE_INFINITY));
        }
        assertEquals("NaN", lines().get(0).get("nan").textValue());
        assertEquals("Infinity", lines().get(1).get("inf").textValue());
        assertEquals("-Infinity", lines().get(2).get("minus").textValue());
    }

    @Test
    void whatIsLoggedIsInTheFileBeforeTheSinkIsClosed() throws IOException {
        try (MetricsSink sink = JsonLinesSink.open(file())) {
            sink.log(1, Map.of("loss", 1.0));
            assertEquals(1, lines().size());
            sink.log(2, Map.of("loss", 1.0));
            assertEquals(2, lines().size());
        }
    }

    @Test
    void aLineThatACrashCutStaysAlone() throws IOException {
        Files.createDirectories(file().getParent());
        Files.writeString(file(), "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"lo");
        try (MetricsSink sink = JsonLinesSink.open(file())) {
            sink.log(2, Map.of("loss", .25));
        }
        assertEquals(
                List.of(
                        "{\"step\":1,\"loss\":0.5}",
                        "{\"step\":2,\"lo",
                        "{\"step\":2,\"loss\":0.25}"),
                Files.readAllLines(file()));
    }

    @Test
    void stepIsTheLinesOwnName() throws IOException {
        try (MetricsSink sink = JsonLinesSink.open(file())) {
            assertEquals(
                    "values hold the name step, which is the line's own; expected another",
                    assertThrows(
                                    IllegalArgumentException.class,
                                    () -> sink.log(1, Map.of("step", 1.0)))
                            .getMessage());
        }
    }

    @Test
    void threadsDoNotMixTheirLines() throws Exception {
        try (MetricsSink sink = JsonLinesSink.open(file())) {
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                String name = "loss" + i;
                threads.add(
                        Thread.ofPlatform()
                                .start(
                                        () -> {
                                            for (int k = 0; k < 500; k++) {
                                                sink.log(7, Map.of(name, (double) k));
                                            }
                                        }));
            }
            for (Thread thread : threads) {
                thread.join();
            }
        }
        assertEquals(2000, lines().size());
        assertTrue(lines().stream().allMatch(line -> line.size() == 2));
    }
}
