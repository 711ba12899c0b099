package dev.logratio.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * All that the backend {@code cuda} is made of in Java, without a GPU: the emulator takes the place
 * of the CUDA library and, where JCuda is on the path, a class of ours that of JCuda's, whose
 * devices have host memory. What the checks of a GPU machine assert must hold there, too.
 */
@Tag("build")
class CudaOnHostTest {
    @TempDir private static Path folder;

    @BeforeAll
    static void putTheHostInThePlaceOfAGpu() throws Exception {
        Path natives =
                Path.of(
                        "..",
                        "bindings",
                        "target",
                        "classes",
                        "META-INF",
                        "native",
                        "linux-x86_64");
        Files.copy(natives.resolve("liblogratio.so"), folder.resolve("liblogratio.so"));
        Files.copy(
                Path.of(System.getenv("LOGRATIO_EMULATOR")), folder.resolve("liblogratio_cuda.so"));
        Files.writeString(
                folder.resolve("logging.properties"),
                """
                handlers=java.util.logging.ConsoleHandler
                java.util.logging.ConsoleHandler.level=FINE
                dev.logratio.cuda.level=FINE
                """);
        run(
                "javac",
                "-d",
                folder.resolve("classes").toString(),
                "-cp",
                ClassPath.all(),
                Path.of("src", "test", "jcuda", "jcuda", "runtime", "JCuda.java").toString());
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void whatOnlyAGpuShows(boolean withJCuda) throws Exception {
        expectPassed(".*\\.Cuda(Step)?Checks", withJCuda);
    }

    @Test
    void jcudasObjects() throws Exception {
        expectPassed(".*\\.JCudaInteropChecks", true);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void suitesOnHostTensors(boolean withJCuda) throws Exception {
        expectPassed(
                ".*\\.(TokenLogprobsTest|LogratioTest|DeviceTensorTest|\\w+MistakesTest)",
                withJCuda);
    }

    private static void expectPassed(String classes, boolean withJCuda) throws Exception {
        String output =
                run(
                        "java",
                        "--enable-native-access=ALL-UNNAMED",
                        "-Djava.util.logging.config.file=" + folder.resolve("logging.properties"),
                        "-Dlogratio.library=" + folder.resolve("liblogratio.so"),
                        "-cp",
                        withJCuda
                                ? folder.resolve("classes") + File.pathSeparator + ClassPath.all()
                                : ClassPath.withoutJCuda(ClassPath.all()),
                        "dev.logratio.SuiteProgram",
                        Path.of("target", "test-classes").toString(),
                        "cuda",
                        classes);
        assertTrue(
                output.contains("backend cuda: Logratio's CUDA emulator, compute capability 9.0"),
                output);
        assertTrue(
                output.contains(
                        "device memory, streams and events are "
                                + (withJCuda
                                        ? "JCuda's"
                                        : "the native library's: JCuda is not on the path")),
                output);
    }

    /** What a program of this JDK prints; it must end well. */
    private static String run(String program, String... arguments) throws Exception {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                Path.of(System.getProperty("java.home"), "bin", program)
                                        .toString()));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        assertEquals(0, process.waitFor(), output);
        return output;
    }
}
