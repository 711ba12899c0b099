package dev.logratio.bindings;

import static dev.logratio.bindings.LoadingJvm.lines;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Libraries of matrix products are copied out of what the class path has, beside our own. */
class GemmLibraryTest {
    @TempDir private Path temporary;

    private LoadingJvm jvm;
    private Path jars;

    @BeforeEach
    void makeFolders() throws IOException {
        jvm = new LoadingJvm(temporary);
        jars = Files.createDirectory(temporary.resolve("jars"));
    }

    private void put(String library, String file, String content) throws IOException {
        Path folder =
                Files.createDirectories(
                        jars.resolve(Path.of("org", "bytedeco", library, "linux-x86_64")));
        Files.writeString(folder.resolve(file), content);
    }

    private List<String> run() throws Exception {
        return lines(
                jvm.start(
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        LoadingJvm.classPath() + File.pathSeparator + jars,
                        GemmLibraryProgram.class.getName()));
    }

    @Test
    void noneOnTheClassPath() throws Exception {
        assertEquals(List.of("DNNL absent", "OPENBLAS absent"), run());
        assertTrue(Files.notExists(jvm.cache), "nothing is made for nothing");
    }

    /** All files of a library lie in one folder of the cache, as they are in the jar. */
    @Test
    void withWhatItNeeds() throws Exception {
        put("dnnl", "libgomp.so.1", "threads");
        put("dnnl", "libdnnl.so.3", "products");
        List<String> first = run();
        Path file = Path.of(first.getFirst().substring("DNNL ".length()));
        assertEquals(Path.of("libdnnl.so.3"), file.getFileName());
        assertTrue(file.startsWith(jvm.cache.toRealPath().resolve("logratio")), file::toString);
        assertEquals("products", Files.readString(file));
        assertEquals("threads", Files.readString(file.resolveSibling("libgomp.so.1")));
        try (Stream<Path> files = Files.list(file.getParent())) {
            assertEquals(2, files.count());
        }
        assertEquals("OPENBLAS absent", first.getLast());
        assertEquals(first, run(), "the copy serves again");
        put("dnnl", "libdnnl.so.3", "other products");
        assertNotEquals(first, run(), "another version has a folder of its own");
    }

    @Test
    void aLibraryWithoutWhatItNeedsIsNone() throws Exception {
        put("openblas", "libopenblas.so.0", "products");
        assertEquals(List.of("DNNL absent", "OPENBLAS absent"), run());
    }
}
