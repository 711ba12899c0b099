package dev.logratio.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import jcuda.JCudaVersion;
import jcuda.LibUtils;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/**
 * A program on the class path and on the module path, on a machine without a GPU: one sentence, and
 * JCuda left alone.
 */
@Tag("build")
class LoadingTest {
    private static final String PROGRAM = "dev.logratio.cuda.LoadingProgram";

    @TempDir private Path temporary;

    @Test
    void classPath() throws Exception {
        expectSentences(
                run(List.of("--enable-native-access=ALL-UNNAMED", "-cp", paths(true)), List.of()));
        assertEquals(List.of(), filesOfJCuda());
    }

    @Test
    void modulePath() throws Exception {
        expectSentences(run(modules(), List.of()));
        assertEquals(List.of(), filesOfJCuda());
    }

    @Test
    void classPathWithoutJCuda() throws Exception {
        String paths = ClassPath.withoutJCuda(paths(true));
        expectSentences(
                run(List.of("--enable-native-access=ALL-UNNAMED", "-cp", paths), List.of()));
    }

    @Test
    void modulePathWithoutJCuda() throws Exception {
        expectSentences(
                run(
                        List.of(
                                "--enable-native-access=dev.logratio,dev.logratio.bindings",
                                "--module-path",
                                ClassPath.withoutJCuda(paths(false)),
                                "--patch-module",
                                "dev.logratio=" + testClasses(),
                                "-m",
                                "dev.logratio/" + PROGRAM),
                        List.of()));
    }

    @Test
    void deniedNativeAccess() throws Exception {
        List<String> lines =
                run(List.of("--illegal-native-access=deny", "-cp", paths(true)), List.of());
        String reason =
                " backend is unavailable: native access is denied: start java with"
                        + " --enable-native-access=ALL-UNNAMED";
        assertEquals(
                List.of(
                        "cpu: the cpu" + reason,
                        "cuda: the cuda" + reason,
                        "emulator: the emulator" + reason),
                lines.subList(1, 4));
        assertEquals(Set.of("the cuda" + reason), new HashSet<>(lines.subList(4, lines.size())));
    }

    @Test
    void jcudaLoadsOnTheClassPath() throws Exception {
        Path planted = plant(temporary);
        // A second class loader has classes of its own, and natives of JCuda for them.
        List<String> lines =
                run(
                        List.of(
                                "--enable-native-access=ALL-UNNAMED",
                                "-cp",
                                paths(true),
                                TwiceProgram.class.getName()),
                        List.of("jcuda"));
        assertEquals(0, lines.size() % 2);
        expectJCuda(lines.subList(0, lines.size() / 2));
        expectJCuda(lines.subList(lines.size() / 2, lines.size()));
        assertEquals(List.of(planted), filesOfJCuda());
    }

    @Test
    void jcudaLoadsOnTheModulePath() throws Exception {
        Path planted = plant(temporary);
        expectJCuda(run(modules(), List.of("jcuda")));
        assertEquals(List.of(planted), filesOfJCuda());
    }

    @Test
    void jcudaDoesNotLoadFromTheCurrentFolder() throws Exception {
        Path planted = plant(temporary);
        List<String> lines =
                run(
                        List.of(
                                "--enable-native-access=ALL-UNNAMED",
                                "-Djava.library.path=/nowhere:",
                                "-cp",
                                paths(true)),
                        List.of("jcuda"));
        assertEquals(
                "JCuda: CUDA is unavailable: java.library.path leads to "
                        + planted.getFileName()
                        + " in the current folder, which is not loaded: give its folders by"
                        + " absolute paths",
                lines.get(lines.size() - 2));
    }

    /** What JCuda by itself would take for its library. */
    private static Path plant(Path folder) throws IOException {
        String name =
                LibUtils.createLibraryFileName(
                        LibUtils.createPlatformLibraryName("JCudaRuntime-" + JCudaVersion.get()));
        return Files.writeString(folder.resolve(name), "not a library");
    }

    private static void expectSentences(List<String> lines) {
        assertTrue(lines.size() > 4, lines::toString);
        assertTrue(lines.get(0).startsWith("reference: "), lines::toString);
        assertTrue(lines.get(1).startsWith("cpu: "), lines::toString);
        assertTrue(lines.get(2).startsWith("cuda: CUDA is unavailable: "), lines::toString);
        assertTrue(lines.get(3).startsWith("emulator: "), lines::toString);
        String sentence = lines.get(2).substring("cuda: ".length());
        assertTrue(
                Stream.of("liblogratio_cuda.so was found not", "libcuda.so.1", "device", "driver")
                        .anyMatch(sentence::contains),
                sentence);
        assertEquals(Set.of(sentence), new HashSet<>(lines.subList(4, lines.size())));
    }

    /**
     * Without a driver cudart, which JCuda's library carries, says so; that it is asked shows that
     * the library was found.
     */
    private static void expectJCuda(List<String> lines) {
        String answer = lines.get(lines.size() - 2);
        assertTrue(answer.startsWith("JCuda: cudaError"), lines::toString);
        assertEquals("cudaStream_t[nativePointer=" + 0x1234 + "]", lines.getLast());
    }

    private List<Path> filesOfJCuda() throws IOException {
        try (Stream<Path> files = Files.walk(temporary)) {
            return files.filter(file -> file.getFileName().toString().contains("JCuda")).toList();
        }
    }

    private List<String> run(List<String> options, List<String> arguments) throws Exception {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-Djava.io.tmpdir=" + temporary,
                                "-XX:TieredStopAtLevel=1",
                                "-XX:-UsePerfData"));
        command.addAll(options);
        if (Stream.of("-m", TwiceProgram.class.getName()).noneMatch(options::contains)) {
            command.add(PROGRAM);
        }
        command.addAll(arguments);
        Process process =
                new ProcessBuilder(command)
                        .directory(temporary.toFile())
                        .redirectErrorStream(true)
                        .start();
        String output = new String(process.getInputStream().readAllBytes());
        assertEquals(0, process.waitFor(), output);
        return output.lines().toList();
    }

    private static List<String> modules() {
        return List.of(
                "--enable-native-access=dev.logratio,dev.logratio.bindings,jcuda",
                "--add-modules",
                "jcuda,java.logging",
                "--module-path",
                paths(false),
                "--patch-module",
                "dev.logratio=" + testClasses(),
                "--patch-module",
                "jcuda=" + natives(),
                "-m",
                "dev.logratio/" + PROGRAM);
    }

    private static Path testClasses() {
        return Path.of("target", "test-classes").toAbsolutePath();
    }

    private static String natives() {
        return ClassPath.entries().stream()
                .filter(path -> path.contains("jcuda-natives"))
                .findFirst()
                .orElseThrow();
    }

    /**
     * What a program that uses the library has on its path; for the class path, the test's program
     * too.
     */
    private static String paths(boolean withProgram) {
        return String.join(
                File.pathSeparator,
                ClassPath.entries().stream()
                        .filter(
                                path ->
                                        withProgram
                                                || !path.contains("test-classes")
                                                        && !path.contains("jcuda-natives"))
                        .filter(path -> !path.contains("junit") && !path.contains("surefire"))
                        .toList());
    }
}
