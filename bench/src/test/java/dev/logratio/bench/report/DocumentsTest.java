package dev.logratio.bench.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The figures in the documents are those of the committed results. */
@Tag("build")
class DocumentsTest {
    private static final Path ROOT = Path.of("..");

    @TempDir private Path folder;

    @Test
    void theDocumentsShowTheNewestResults() throws IOException {
        Documents documents = Documents.of(ROOT);
        for (var text : documents.texts().entrySet()) {
            assertEquals(
                    text.getValue(),
                    Files.readString(ROOT.resolve(text.getKey())),
                    text.getKey() + " differs from the results; ./logratio bench --readme");
        }
        for (Path picture : documents.pictures()) {
            assertTrue(Files.size(ROOT.resolve(picture)) > 1000, picture.toString());
        }
    }

    private void results(String name, Outcome outcome) throws IOException {
        Files.writeString(folder.resolve("bench/results").resolve(name), Json.text(outcome));
    }

    private void documents(String readme) throws IOException {
        Files.createDirectories(folder.resolve("bench/results"));
        Files.createDirectories(folder.resolve("docs"));
        Files.writeString(folder.resolve("README.md"), readme);
        Files.writeString(
                folder.resolve("docs/performance.md"),
                """
                <!-- linear:begin -->
                <!-- linear:end -->
                <!-- pages:begin -->
                old
                <!-- pages:end -->
                <!-- sweep:begin -->
                <!-- sweep:end -->
                """);
    }

    private static Report on(String set, String date, double share) {
        return Examples.on(
                new Machine("CPU", 2, 2, set, "0.1.0", "25", date),
                Examples.bounded("token_logprobs forward f32 V=128256", share, 0.1, 10.2),
                Examples.bounded("divergence js forward V=128256", 0.5, 0.1, 40),
                Examples.bounded("divergence l2 forward V=128256", 0.7, 0.1, 50));
    }

    @Test
    void theNewestOfEachInstructionSetIsShown() throws IOException {
        documents("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n");
        results("2026-01-01-cpu-avx2.json", on("avx2", "2026-01-01", 0.1));
        results("2026-02-01-cpu-avx2.json", on("avx2", "2026-02-01", 0.8));
        results("2026-01-15-cpu-avx512.json", on("avx512", "2026-01-15", 0.9));
        results(
                "2026-01-15-cpu-avx512-pages.json",
                new PagesReport(
                        Examples.MACHINE,
                        "madvise",
                        "f32 1 x 1",
                        1,
                        List.of(new PagesReport.Row("forward", 0.2, 0.1, 2, null, null))));
        results(
                "2026-01-15-cpu-avx512-linear.json",
                new LinearReport(
                        Examples.MACHINE,
                        "oneDNN 1.2.3",
                        4,
                        256,
                        1024,
                        32000,
                        List.of(
                                new LinearReport.Row(
                                        "F32", "weight frozen", 2, 1.05, 0.4, 0.66, 4.0, 7.0))));
        List<Path> written = Documents.of(folder).write();
        String readme = Files.readString(folder.resolve("README.md"));
        assertTrue(readme.startsWith("before\n<!-- bench:begin -->\nCPU, 2 threads"), readme);
        assertTrue(readme.endsWith("<!-- bench:end -->\nafter\n"), readme);
        assertTrue(readme.contains("F32 and BF16 | 0.90 | 10 | 0.80 | 10 |\n"), readme);
        assertTrue(readme.contains("in place, F32 | 0.50 to 0.70 | 40 to 50 |"), readme);
        assertTrue(readme.contains("![roofline](bench/results/2026-01-15-cpu-avx512.png)"), readme);
        String page = Files.readString(folder.resolve("docs/performance.md"));
        assertTrue(page.contains("| forward | 200.00 ms | 100.00 ms | 2.00 | - | - |"), page);
        assertTrue(
                page.contains(
                        "| F32, weight frozen | 2000.00 ms | 1.05 | 0.40 | 0.66 | 4.00 | 7 |"),
                page);
        assertTrue(written.contains(Path.of("bench/results/2026-02-01-cpu-avx2.md")));
        assertTrue(Files.exists(folder.resolve("bench/results/2026-02-01-cpu-avx2.png")));
        // Again, it changes nothing.
        Documents.of(folder).write();
        assertEquals(readme, Files.readString(folder.resolve("README.md")));
    }

    @Test
    void aDocumentWithoutMarksIsNamed() throws IOException {
        documents("no marks\n");
        results("2026-01-01-cpu-avx2.json", on("avx2", "2026-01-01", 0.1));
        assertEquals(
                "README.md lacks the lines <!-- bench:begin --> and <!-- bench:end -->",
                assertThrows(UnusableFileException.class, () -> Documents.of(folder)).getMessage());
    }

    @Test
    void withoutResultsItSaysSo() throws IOException {
        documents("");
        assertTrue(
                assertThrows(UnusableFileException.class, () -> Documents.of(folder))
                        .getMessage()
                        .endsWith("has no results of --loop or a full run"));
    }
}
