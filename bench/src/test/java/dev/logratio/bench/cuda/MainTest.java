package dev.logratio.bench.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The benchmark of a GPU on a machine without one. */
class MainTest {
    private static final Path NATIVES =
            Path.of("..", "bindings", "target", "classes", "META-INF", "native", "linux-x86_64");

    @TempDir private Path folder;

    private record Ended(int status, String output) {}

    @Test
    void withoutAGpuItSaysSo() throws Exception {
        Ended ended =
                run(
                        "java",
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Main.class.getName());
        assertEquals(2, ended.status(), ended.output());
        assertTrue(ended.output().matches("CUDA is unavailable: .+\\R"), ended.output());
    }

    /**
     * The emulator in the place of the CUDA library, and host memory in that of a GPU's: the
     * figures mean nothing, all else does.
     */
    @Test
    void everyOperationHasItsFigures() throws Exception {
        Files.copy(NATIVES.resolve("liblogratio.so"), folder.resolve("liblogratio.so"));
        Files.copy(
                Path.of("..", "bindings", "target", "emulator", "liblogratio_emulator.so"),
                folder.resolve("liblogratio_cuda.so"));
        Path json = folder.resolve("gpu.json");
        Ended ended =
                run(
                        "java",
                        "--enable-native-access=ALL-UNNAMED",
                        "-Dlogratio.library=" + folder.resolve("liblogratio.so"),
                        "-cp",
                        System.getProperty("java.class.path"),
                        Main.class.getName(),
                        json.toString(),
                        Integer.toString(16 * 1024));
        assertEquals(0, ended.status(), ended.output());
        JsonNode report = new ObjectMapper().readTree(json.toFile());
        assertEquals("Logratio's CUDA emulator", report.get("device").get("name").asText());
        List<String> measured = new ArrayList<>();
        for (JsonNode figures : report.get("figures")) {
            measured.add(figures.get("operation").asText());
            assertEquals(1024, figures.get("vocabulary").asInt());
            assertEquals(16, figures.get("rows").asInt());
            for (String name :
                    List.of(
                            "milliseconds",
                            "gigabytesPerSecond",
                            "readGigabytesPerSecond",
                            "ofRead",
                            "ofCopy",
                            "ofLimit")) {
                double value = figures.get(name).asDouble();
                assertTrue(value > 0 && value < 1e6, name + " is " + value);
            }
        }
        assertEquals(
                Operation.all().stream().map(Operation::title).toList(), measured, ended.output());
    }

    private static Ended run(String program, String... arguments) throws Exception {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                Path.of(System.getProperty("java.home"), "bin", program)
                                        .toString()));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        return new Ended(process.waitFor(), output);
    }
}
