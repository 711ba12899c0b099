package dev.logratio.bench.report;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The parts of the documents that show figures, as the newest results make them. */
public final class Documents {
    private static final Path README = Path.of("README.md");
    private static final Path PAGE = Path.of("docs", "performance.md");
    private static final Path FOLDER = Path.of("bench", "results");

    private final Path root;
    private final Map<Path, String> texts = new LinkedHashMap<>();
    private final Map<Path, Outcome> pictures = new LinkedHashMap<>();

    private Documents(Path root) {
        this.root = root;
    }

    /**
     * Makes them from the results in {@code bench/results}.
     *
     * @param root the folder of the README
     * @throws UnusableFileException if there are no results, or a document lacks its marks
     */
    public static Documents of(Path root) throws IOException {
        Documents documents = new Documents(root);
        Results results = Results.of(root.resolve(FOLDER));
        results.loops().forEach(documents::add);
        String readme = Files.readString(root.resolve(README));
        Path newest = results.loops().keySet().iterator().next();
        boolean drawn = !results.loops().get(newest).charts().isEmpty();
        String figure = drawn ? " ![roofline](" + link(root, sibling(newest, ".png")) + ")" : "";
        String part = ReadmePart.of(results.loops().values(), figure);
        documents.texts.put(README, MarkedPart.replaced(readme, README, "bench", part));
        String page = Files.readString(root.resolve(PAGE));
        if (results.pages().isPresent()) {
            var pages = results.pages().get();
            documents.add(pages.getKey(), pages.getValue());
            page = replaced(page, "pages", pages.getValue().machine(), pages.getValue().table());
        }
        if (results.linear().isPresent()) {
            var linear = results.linear().get();
            documents.add(linear.getKey(), linear.getValue());
            page = replaced(page, "linear", linear.getValue().machine(), linear.getValue().table());
        }
        if (results.sweep().isPresent()) {
            var sweep = results.sweep().get();
            documents.add(sweep.getKey(), sweep.getValue());
            page =
                    replaced(
                            page,
                            "sweep",
                            sweep.getValue().machine(),
                            sweep.getValue().smallTable()
                                    + "\n"
                                    + sweep.getValue().trends()
                                    + "\n![sizes](../"
                                    + link(root, sibling(sweep.getKey(), ".png"))
                                    + ")\n");
        }
        documents.texts.put(PAGE, page);
        return documents;
    }

    private static String replaced(String page, String name, Machine machine, String content) {
        return MarkedPart.replaced(page, PAGE, name, machine + ".\n\n" + content);
    }

    /** A Markdown file and a picture beside the results. */
    private void add(Path results, Outcome outcome) {
        texts.put(root.relativize(sibling(results, ".md")), outcome.markdown());
        if (!outcome.charts().isEmpty()) {
            pictures.put(root.relativize(sibling(results, ".png")), outcome);
        }
    }

    private static Path sibling(Path results, String ending) {
        return results.resolveSibling(
                results.getFileName().toString().replaceAll("\\.json$", ending));
    }

    private static String link(Path root, Path file) {
        return root.relativize(file).toString();
    }

    /** What every text should be, by its path from the root. */
    Map<Path, String> texts() {
        return texts;
    }

    /** The pictures that should be there. */
    List<Path> pictures() {
        return List.copyOf(pictures.keySet());
    }

    /**
     * Writes all of them.
     *
     * @return what was written, by its path from the root
     */
    public List<Path> write() throws IOException {
        for (var text : texts.entrySet()) {
            Files.writeString(root.resolve(text.getKey()), text.getValue());
        }
        for (var picture : pictures.entrySet()) {
            Files.write(root.resolve(picture.getKey()), Charts.png(picture.getValue().charts()));
        }
        List<Path> written = new ArrayList<>(texts.keySet());
        written.addAll(pictures.keySet());
        return written;
    }
}
