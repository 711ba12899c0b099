package dev.logratio.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * docs/losses.md tells the names, aliases, options, defaults and ranges that {@link Losses} tells,
 * and the papers that the records name.
 */
@Tag("build")
class LossDocumentTest {
    private static final Pattern CODE = Pattern.compile("`([^`]*)`");
    private static final Pattern PAPER = Pattern.compile("arxiv\\.org/abs/([0-9.]+)");

    /** A table of losses: the heading above it, and the kind of its losses. */
    private enum Section {
        MARGIN("Pairs: losses of the margin", Loss.OfMargin.class),
        LOG_RATIOS("Pairs: losses of the two log-ratios", Loss.OfLogRatios.class),
        REFERENCE_FREE("Pairs: losses without a reference", Loss.ReferenceFree.class),
        UNPAIRED("Single examples", Loss.Unpaired.class),
        AUXILIARY("Auxiliary terms of a preference step", Loss.Auxiliary.class);

        private final String heading;
        private final Class<? extends Loss> kind;

        Section(String heading, Class<? extends Loss> kind) {
            this.heading = heading;
            this.kind = kind;
        }

        String text() throws IOException {
            String document = document();
            int start = document.indexOf("\n## " + heading + "\n");
            assertTrue(start >= 0, heading);
            int end = document.indexOf("\n## ", start + 1);
            return document.substring(start, end);
        }

        /** The cells of its rows; each row begins with a loss's name. */
        List<String[]> rows() throws IOException {
            return text().lines()
                    .filter(line -> line.startsWith("| `") && line.split("\\|").length > 4)
                    .map(line -> line.replaceAll("^\\| | \\|$", "").split(" *\\| *", -1))
                    .toList();
        }
    }

    private static String document() throws IOException {
        return Files.readString(Path.of("..", "docs", "losses.md"), StandardCharsets.UTF_8);
    }

    @ParameterizedTest
    @EnumSource
    void everyLossHasItsRow(Section section) throws IOException {
        Set<String> told = new TreeSet<>();
        for (String[] row : section.rows()) {
            assertEquals(4, row.length, String.join("|", row));
            String id = code(row[0]).getFirst();
            assertTrue(told.add(id), id + " is there twice");
            List<String> names = Stream.concat(Stream.of(id), Losses.aliases(id).stream()).toList();
            assertEquals(names, code(row[0]));
            assertTrue(!row[1].isEmpty(), id + " has no formula");
            assertEquals(options(id, option -> !isOfScore(option)), row[2], "the options of " + id);
            assertEquals(papersOfRecord(id), papers(row[3]), "the papers of " + id);
        }
        assertEquals(new TreeSet<>(Losses.ids(section.kind)), told);
    }

    @Test
    void losses() {
        assertEquals(
                new TreeSet<>(Losses.ids()),
                Stream.of(Section.values())
                        .flatMap(section -> Losses.ids(section.kind).stream())
                        .collect(Collectors.toCollection(TreeSet::new)));
    }

    /** Told once, above the table, and by a table of the scores. */
    @Test
    void optionsOfTheScore() throws IOException {
        for (String id : Losses.ids()) {
            boolean ofMargin = Losses.ids(Loss.OfMargin.class).contains(id);
            String options = options(id, LossDocumentTest::isOfScore);
            assertEquals(!ofMargin, options.isEmpty(), id);
            assertTrue(!ofMargin || Section.MARGIN.text().contains(" " + options + "."), options);
        }
        List<String> scores =
                Section.MARGIN
                        .text()
                        .lines()
                        .filter(line -> line.startsWith("| `") && line.split("\\|").length == 3)
                        .map(line -> code(line).getFirst())
                        .filter(name -> !name.equals("f_divergence"))
                        .toList();
        List<OptionInfo> options = Losses.options("sigmoid");
        assertEquals(
                options.stream()
                        .filter(option -> option.name().equals("f_divergence"))
                        .findFirst()
                        .orElseThrow()
                        .values(),
                scores);
    }

    private static boolean isOfScore(OptionInfo option) {
        return option.name().startsWith("f_");
    }

    /** The options in the form of a cell: {@code `beta` 0.1 (> 0); `nll` pair/token}. */
    private static String options(String id, Predicate<OptionInfo> wanted) {
        Set<String> withGradient =
                Losses.of(id, Map.of()) instanceof Loss.Paired paired
                        ? paired.gradientOptions()
                        : Set.of();
        return Losses.options(id).stream()
                .filter(wanted)
                .map(option -> option(option, withGradient.contains(option.name())))
                .collect(Collectors.joining("; "));
    }

    private static String option(OptionInfo option, boolean hasGradient) {
        if (!option.isNumber()) {
            return "`" + option.name() + "` " + String.join("/", option.values());
        }
        String notes =
                Stream.of(
                                option.range().replaceFirst("^a (finite )?number( in)? ?", ""),
                                hasGradient ? "gradient" : "")
                        .filter(note -> !note.isEmpty())
                        .collect(Collectors.joining(", "));
        return "`"
                + option.name()
                + "` "
                + option.defaultValue().replaceFirst("\\.0$", "")
                + (notes.isEmpty() ? "" : " (" + notes + ")");
    }

    @ParameterizedTest
    @CsvSource({
        "Sums of log-probs, DIVIDES_BY_LENGTH",
        "Two pairs at least, SMALLEST_BATCH",
        "Two losses per pair, LOSSES_PER_PAIR",
        "Loss k belongs to rank k, OF_RANKS",
    })
    void traits(String bullet, Trait trait) throws IOException {
        String document = document();
        int start = document.indexOf("- **" + bullet);
        assertTrue(start >= 0, bullet);
        String told = document.substring(start, document.indexOf("\n", start));
        for (String line : document.substring(start + told.length() + 1).split("\n")) {
            if (!line.startsWith("  ")) {
                break;
            }
            told += line;
        }
        assertEquals(
                Losses.ids().stream()
                        .filter(id -> trait.isOf.test(Losses.of(id, Map.of())))
                        .collect(Collectors.toSet()),
                code(told).stream().filter(Losses.ids()::contains).collect(Collectors.toSet()),
                bullet);
    }

    /** What a bullet is about. */
    private enum Trait {
        DIVIDES_BY_LENGTH(loss -> loss instanceof Loss.OfStep step && step.dividesByLength()),
        SMALLEST_BATCH(loss -> loss instanceof Loss.Paired pair && pair.smallestBatch() == 2),
        LOSSES_PER_PAIR(loss -> loss instanceof Loss.Paired pair && pair.lossesPerPair() == 2),
        OF_RANKS(loss -> loss instanceof Loss.Paired pair && pair.ofRanks());

        private final Predicate<Loss> isOf;

        Trait(Predicate<Loss> isOf) {
            this.isOf = isOf;
        }
    }

    private static List<String> code(String text) {
        return CODE.matcher(text).results().map(found -> found.group(1)).toList();
    }

    private static Set<String> papers(String text) {
        return PAPER.matcher(text)
                .results()
                .map(found -> found.group(1))
                .collect(Collectors.toSet());
    }

    private static Set<String> papersOfRecord(String id) throws IOException {
        String record = Losses.of(id, Map.of()).getClass().getSimpleName();
        String source =
                Files.readString(
                        Path.of("src/main/java/dev/logratio/loss/" + record + ".java"),
                        StandardCharsets.UTF_8);
        return Pattern.compile("arXiv\\s+(?:\\* )?([0-9]{4}\\.[0-9]{5})")
                .matcher(source)
                .results()
                .map(found -> found.group(1))
                .collect(Collectors.toSet());
    }

    /** A reader's way from the first page. */
    @Test
    void theReadmeLinksToIt() throws IOException {
        String readme = Files.readString(Path.of("..", "README.md"), StandardCharsets.UTF_8);
        assertTrue(readme.contains("(docs/losses.md)"));
    }
}
