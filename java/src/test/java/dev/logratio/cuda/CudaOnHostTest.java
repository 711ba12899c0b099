package dev.logratio.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * All that the backend {@code cuda} is made of in Java, without a GPU: the emulator takes the place
 * of the CUDA library, and a class of ours that of JCuda's, whose devices have host memory. What
 * the checks of a GPU machine assert must hold there, too.
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
        run(
                "javac",
                "-d",
                folder.resolve("classes").toString(),
                "-cp",
                ClassPath.all(),
                Path.of("src", "test", "jcuda", "jcuda", "runtime", "JCuda.java").toString());
    }

    @Test
    void whatOnlyAGpuShows() throws Exception {
        expectPassed(".*\\.Cuda(Step)?Checks");
    }

    @Test
    void suitesOnHostTensors() throws Exception {
        expectPassed(".*\\.(TokenLogprobsTest|LogratioTest|DeviceTensorTest|BadInputTest)");
    }

    private static void expectPassed(String classes) throws Exception {
        String output =
                run(
                        "java",
                        "--enable-native-access=ALL-UNNAMED",
                        "-Dlogratio.library=" + folder.resolve("liblogratio.so"),
                        "-cp",
                        folder.resolve("classes") + File.pathSeparator + ClassPath.all(),
                        "dev.logratio.SuiteProgram",
                        Path.of("target", "test-classes").toString(),
                        "cuda",
                        classes);
        assertTrue(
                output.startsWith("backend cuda: Logratio's CUDA emulator, compute capability 9.0"),
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
