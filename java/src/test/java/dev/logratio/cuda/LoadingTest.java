package dev.logratio.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A program on the class path and on the module path, on a machine without a GPU: one sentence, and JCuda left alone. */
@Tag("build")
class LoadingTest {
    private static final String PROGRAM = "dev.logratio.cuda.LoadingProgram";

    @TempDir
    private Path temporary;

    @Test
    void classPath() throws Exception {
        expectSentences(run(List.of("--enable-native-access=ALL-UNNAMED", "-cp", paths(true)), List.of()), "ALL-UNNAMED");
        expectNothingExtracted();
    }

    @Test
    void modulePath() throws Exception {
        expectSentences(run(modules(), List.of()), "dev.logratio.bindings");
        expectNothingExtracted();
    }

    @Test
    void jcudaLoadsOnTheClassPath() throws Exception {
        expectJCuda(run(List.of("--enable-native-access=ALL-UNNAMED", "-cp", paths(true)), List.of("jcuda")));
    }

    @Test
    void jcudaLoadsOnTheModulePath() throws Exception {
        expectJCuda(run(modules(), List.of("jcuda")));
    }

    private static void expectSentences(List<String> lines, String whom) {
        assertTrue(lines.size() > 4, lines::toString);
        assertTrue(lines.get(0).startsWith("reference: "), lines::toString);
        assertTrue(lines.get(1).startsWith("cpu: "), lines::toString);
        assertTrue(lines.get(2).startsWith("cuda: CUDA is unavailable: "), lines::toString);
        assertTrue(lines.get(3).startsWith("emulator: "), lines::toString);
        String sentence = lines.get(2).substring("cuda: ".length());
        assertTrue(Stream.of("liblogratio_cuda.so was found not", "libcuda.so.1", "device", "driver").anyMatch(sentence::contains), sentence);
        assertEquals(Set.of(sentence), new HashSet<>(lines.subList(4, lines.size())));
    }

    /** Without a driver cudart, which JCuda's library carries, says so; that it is asked shows that the library was found. */
    private static void expectJCuda(List<String> lines) {
        String answer = lines.get(lines.size() - 2);
        assertTrue(answer.startsWith("JCuda: cudaGetDeviceCount failed: cudaError"), lines::toString);
        assertEquals("cudaStream_t[nativePointer=" + 0x1234 + "]", lines.getLast());
    }

    private void expectNothingExtracted() throws IOException {
        try (Stream<Path> files = Files.list(temporary)) {
            assertEquals(List.of(), files.filter(file -> file.toString().contains("JCuda")).toList());
        }
    }

    private List<String> run(List<String> options, List<String> arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Djava.io.tmpdir=" + temporary, "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"));
        command.addAll(options);
        if (!options.contains("-m")) {
            command.add(PROGRAM);
        }
        command.addAll(arguments);
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        assertEquals(0, process.waitFor(), output);
        return output.lines().toList();
    }

    private static List<String> modules() {
        return List.of(
                "--enable-native-access=dev.logratio,dev.logratio.bindings,jcuda",
                "--module-path", paths(false),
                "--patch-module", "dev.logratio=" + Path.of("target", "test-classes").toAbsolutePath(),
                "--patch-module", "jcuda=" + natives(),
                "-m", "dev.logratio/" + PROGRAM);
    }

    private static String natives() {
        return ClassPath.entries().stream().filter(path -> path.contains("jcuda-natives")).findFirst().orElseThrow();
    }

    /** What a program that uses the library has on its path; for the class path, the test's program too. */
    private static String paths(boolean withProgram) {
        return String.join(File.pathSeparator, ClassPath.entries().stream()
                .filter(path -> withProgram || !path.contains("test-classes") && !path.contains("jcuda-natives"))
                .filter(path -> !path.contains("junit") && !path.contains("surefire"))
                .toList());
    }
}
