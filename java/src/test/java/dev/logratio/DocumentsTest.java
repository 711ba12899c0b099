package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The documents show code that is compiled and run elsewhere, and lead to files that are there. A
 * region of that code begins with {@code @start region=...} and ends with {@code @end} in comments,
 * as javadoc's snippets have it.
 */
@Tag("build")
class DocumentsTest {
    private static final Path ROOT = Path.of("..");
    private static final Path CUDA_EXAMPLE =
            Path.of("java/src/test/java/dev/logratio/CudaExample.java");
    private static final Pattern SOURCE = Pattern.compile(".*\\.(java|c|py)");
    private static final Pattern LINK = Pattern.compile("]\\(([^)#]+)[^)]*\\)");

    /** The sources of the examples, without what builds and runs have left there. */
    private static List<Path> examples() throws IOException {
        try (Stream<Path> files = Files.walk(ROOT.resolve("examples"))) {
            return files.map(ROOT::relativize)
                    .filter(file -> SOURCE.matcher(file.toString()).matches())
                    .filter(file -> !file.toString().contains("/target/"))
                    .toList();
        }
    }

    private static List<Path> documents() throws IOException {
        List<Path> documents = new ArrayList<>(List.of(Path.of("README.md")));
        for (String folder : List.of("docs", "examples")) {
            try (Stream<Path> files = Files.walk(ROOT.resolve(folder))) {
                files.filter(file -> file.toString().endsWith(".md"))
                        .map(ROOT::relativize)
                        .forEach(documents::add);
            }
        }
        return documents;
    }

    @ParameterizedTest
    @MethodSource("documents")
    void showsCodeThatRuns(Path document) throws IOException {
        List<String> shown = new ArrayList<>(regions(CUDA_EXAMPLE));
        for (Path example : examples()) {
            shown.addAll(regions(example));
        }
        for (String language : List.of("java", "c", "python")) {
            for (String block : blocks(document, language)) {
                assertTrue(shown.contains(block), () -> document + " shows other code:\n" + block);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("documents")
    void leadsToFilesThatAreThere(Path document) throws IOException {
        List<String> lost =
                LINK.matcher(text(document))
                        .results()
                        .map(link -> link.group(1))
                        .filter(link -> !link.startsWith("https:") && !link.startsWith("http:"))
                        .filter(link -> !Files.exists(ROOT.resolve(document).resolveSibling(link)))
                        .toList();
        assertEquals(List.of(), lost);
    }

    /** A test that finds no code would not fail where it is wrong. */
    @ParameterizedTest
    @CsvSource({
        "README.md,java",
        "docs/losses.md,java",
        "docs/gpu.md,java",
        "docs/c-and-python.md,c",
        "docs/trainers.md,java"
    })
    void hasCode(Path document, String language) throws IOException {
        assertFalse(blocks(document, language).isEmpty());
    }

    @Test
    void theReadmeIsShort() throws IOException {
        assertTrue(text(Path.of("README.md")).lines().count() <= 120);
        String code = blocks(Path.of("README.md"), "java").getFirst();
        assertTrue(code.lines().count() <= 20, () -> "the example has grown:\n" + code);
    }

    private static List<String> blocks(Path document, String language) throws IOException {
        return Pattern.compile("(?ms)^```" + language + "\n(.*?)\n```$")
                .matcher(text(document))
                .results()
                .map(block -> block.group(1))
                .toList();
    }

    private static List<String> regions(Path source) throws IOException {
        return Pattern.compile("(?ms)@start region=[^\n]*\n(.*?)\n[^\n]*@end")
                .matcher(text(source))
                .results()
                // The formatter has an empty line before a comment that ends a class's region.
                .map(region -> region.group(1).stripIndent().stripTrailing())
                .toList();
    }

    private static String text(Path file) throws IOException {
        return Files.readString(ROOT.resolve(file), StandardCharsets.UTF_8);
    }
}
