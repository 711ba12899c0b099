package dev.logratio.bench.report;

import com.fasterxml.jackson.databind.JsonNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The newest results that a folder holds.
 *
 * @param loops those of the cases, one for each instruction set, the widest first
 * @param sweep those of {@code --sweep}, if there are any
 * @param pages those of {@code --pages}, if there are any
 * @param linear those of {@code --linear}, if there are any
 */
record Results(
        Map<Path, Report> loops,
        Optional<Map.Entry<Path, SweepReport>> sweep,
        Optional<Map.Entry<Path, PagesReport>> pages,
        Optional<Map.Entry<Path, LinearReport>> linear) {
    /**
     * Reads the files of a folder. Their content tells what they are.
     *
     * @throws UnusableFileException if there are no results of the cases
     */
    static Results of(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            throw new UnusableFileException(folder + " is not there");
        }
        List<Path> files;
        try (Stream<Path> all = Files.list(folder)) {
            files = all.filter(file -> file.toString().endsWith(".json")).sorted().toList();
        }
        Map<String, Path> loops = new LinkedHashMap<>();
        Map<Path, Report> reports = new LinkedHashMap<>();
        Path sweep = null;
        Path pages = null;
        Path linear = null;
        // A name begins with the date, so the last of a kind is the newest.
        for (Path file : files) {
            JsonNode tree = Json.tree(file);
            if (tree.has("alternating")) {
                Report report = Json.report(file);
                reports.put(file, report);
                loops.put(report.machine().instructionSet(), file);
            } else if (tree.has("small")) {
                sweep = file;
            } else if (tree.has("hugeShare")) {
                pages = file;
            } else if (tree.has("gemm")) {
                linear = file;
            }
        }
        if (loops.isEmpty()) {
            throw new UnusableFileException(folder + " has no results of --loop or a full run");
        }
        Map<Path, Report> newest = new LinkedHashMap<>();
        loops.entrySet().stream()
                .sorted(Map.Entry.comparingByKey(Comparator.<String>naturalOrder().reversed()))
                .forEach(each -> newest.put(each.getValue(), reports.get(each.getValue())));
        return new Results(
                newest,
                read(sweep, SweepReport.class),
                read(pages, PagesReport.class),
                read(linear, LinearReport.class));
    }

    private static <T extends Outcome> Optional<Map.Entry<Path, T>> read(Path file, Class<T> type)
            throws IOException {
        return file == null
                ? Optional.empty()
                : Optional.of(Map.entry(file, Json.read(file, type)));
    }
}
