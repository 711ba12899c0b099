package dev.logratio.trainers.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

class TensorBoardSinkTest {
    private static final String PYTHON = System.getenv("LOGRATIO_PYTHON");

    @TempDir private Path folder;

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().toList();
        }
    }

    /** Steps and values of every tag, as TensorBoard's own reader gives them. */
    private Map<String, List<List<Object>>> tensorBoard() throws Exception {
        assumeTrue(
                PYTHON != null,
                "LOGRATIO_PYTHON is not set; expected a Python interpreter with tensorboard");
        Path script = folder.resolveSibling(folder.getFileName() + "-read_events.py");
        try (var in = getClass().getResourceAsStream("read_events.py")) {
            Files.write(script, in.readAllBytes());
        }
        Process python =
                new ProcessBuilder(PYTHON, script.toString(), folder.toString())
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        byte[] output = python.getInputStream().readAllBytes();
        assertEquals(0, python.waitFor());
        Files.delete(script);
        return new ObjectMapper().readValue(output, new TypeReference<>() {});
    }

    @Test
    void theRecordsAreFramedEventsThatBeginWithTheVersion() throws Exception {
        try (TensorBoardSink sink = TensorBoardSink.open(folder)) {
            sink.log(3, Map.of("loss", .5));
        }
        List<byte[]> records = TfRecords.read(files().getFirst());
        assertEquals(2, records.size());
        // Field 3, 13 bytes, behind field 1, 8 bytes of time.
        assertEquals("1a0d", HexFormat.of().formatHex(records.get(0), 9, 11));
        assertEquals("brain.Event:2", new String(records.get(0), 11, 13));
        // Step 3, a summary of one value: its tag, and .5 as a float.
        String tag = HexFormat.of().formatHex("train/loss".getBytes());
        assertEquals(
                "10032a130a11" + "0a0a" + tag + "150000003f",
                HexFormat.of().formatHex(records.get(1), 9, records.get(1).length));
    }

    @Test
    void theNameIsThatOfAnEventFile() throws Exception {
        long before = System.currentTimeMillis() / 1000;
        TensorBoardSink.open(folder).close();
        TensorBoardSink.open(folder).close();
        assertEquals(2, files().size(), "each has a name of its own");
        String name = files().getFirst().getFileName().toString();
        assertTrue(name.matches("events\\.out\\.tfevents\\.\\d{10}\\.[^/]+\\.\\d+\\.\\d+"), name);
        long seconds = Long.parseLong(name.split("\\.")[3]);
        assertTrue(before <= seconds && seconds <= System.currentTimeMillis() / 1000, name);
    }

    @Test
    void tensorBoardReadsTagsStepsAndValues() throws Exception {
        Map<String, Double> values = new LinkedHashMap<>();
        values.put("loss", .1);
        values.put("rewards/chosen", Double.NaN);
        values.put("rewards/rejected", Double.NEGATIVE_INFINITY);
        values.put("grösse", 1e300);
        try (TensorBoardSink sink = TensorBoardSink.open(folder)) {
            sink.log(0, values);
            sink.log(300, Map.of("loss", 2.0));
            sink.log(300, Map.of("eval_rewards/margins", -3.5));
            sink.log(1L << 40, Map.of("loss", 0.0));
        }
        assertEquals(
                Map.of(
                        "train/loss",
                        List.of(
                                // The float nearest to .1, in double's digits.
                                List.of(0, Double.toString(.1f)),
                                List.of(300, "2.0"),
                                List.of(1L << 40, "0.0")),
                        "train/rewards/chosen",
                        List.of(List.of(0, "nan")),
                        "train/rewards/rejected",
                        List.of(List.of(0, "-inf")),
                        "train/grösse",
                        List.of(List.of(0, "inf")),
                        "eval/rewards/margins",
                        List.of(List.of(300, "-3.5"))),
                tensorBoard());
    }

    @Test
    void aResumedRunReplacesItsLaterSteps() throws Exception {
        try (TensorBoardSink sink = TensorBoardSink.open(folder)) {
            for (int step = 0; step < 5; step++) {
                sink.log(step, Map.of("loss", 1.0));
            }
        }
        try (TensorBoardSink sink = TensorBoardSink.resume(folder, 3)) {
            sink.log(3, Map.of("loss", 2.0));
        }
        List<Object> steps = new ArrayList<>();
        tensorBoard().get("train/loss").forEach(event -> steps.add(List.copyOf(event)));
        assertEquals(
                List.of(List.of(0, "1.0"), List.of(1, "1.0"), List.of(2, "1.0"), List.of(3, "2.0")),
                steps);
    }

    @Test
    void whatIsLoggedIsReadBeforeTheSinkIsClosed() throws Exception {
        try (TensorBoardSink sink = TensorBoardSink.open(folder)) {
            sink.log(1, Map.of("loss", 1.0));
            assertEquals(2, TfRecords.read(files().getFirst()).size());
            sink.log(2, Map.of("loss", 1.0));
            assertEquals(3, TfRecords.read(files().getFirst()).size());
        }
    }

    @Test
    void aCutRecordLosesItselfAlone() throws Exception {
        try (TensorBoardSink sink = TensorBoardSink.open(folder)) {
            sink.log(1, Map.of("loss", 1.0));
            sink.log(2, Map.of("loss", 2.0));
        }
        Path file = files().getFirst();
        byte[] whole = Files.readAllBytes(file);
        Files.write(file, Arrays.copyOf(whole, whole.length - 5));
        assertEquals(Map.of("train/loss", List.of(List.of(1, "1.0"))), tensorBoard());
    }
}
