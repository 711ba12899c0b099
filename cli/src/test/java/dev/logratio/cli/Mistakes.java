package dev.logratio.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import org.junit.jupiter.params.provider.Arguments;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** Wrong cases, each with words that its message must have. */
final class Mistakes {
    private record Mistake(CaseFile file, List<String> words) {}

    private final List<Mistake> all = new ArrayList<>();

    /** Adds a case; the first of the words names it. */
    void add(CaseFile file, String... words) {
        all.add(new Mistake(file, List.of(words)));
    }

    /** Backend, name, file and words of each. */
    Stream<Arguments> onEachBackend() {
        return Stream.of("reference", "cpu")
                .flatMap(
                        backend ->
                                all.stream()
                                        .map(
                                                m ->
                                                        arguments(
                                                                backend,
                                                                m.words.getFirst(),
                                                                m.file,
                                                                m.words)));
    }

    /**
     * Checks for exit status 2, one line that names the thing at fault and what was expected, and
     * no output.
     */
    static void check(Path folder, String backend, CaseFile file, List<String> words)
            throws IOException {
        Path in = file.write(folder.resolve("in.safetensors"));
        Path out = folder.resolve("out.safetensors");
        CommandLineRun run = CommandLineRun.of("eval", "--backend", backend, in, out);
        assertEquals(2, run.status());
        assertEquals(1, run.errors().size(), run.errors().toString());
        String error = run.errors().getFirst();
        words.forEach(word -> assertTrue(error.contains(word), error + " lacks " + word));
        assertEquals("", run.out());
        assertOnly(in);
    }

    /** Checks that a file is alone in its folder. */
    static void assertOnly(Path file) throws IOException {
        try (var files = Files.list(file.getParent())) {
            assertEquals(List.of(file), files.toList());
        }
    }
}
