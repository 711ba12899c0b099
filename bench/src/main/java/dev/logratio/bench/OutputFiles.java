package dev.logratio.bench;

import dev.logratio.bench.report.Charts;
import dev.logratio.bench.report.Json;
import dev.logratio.bench.report.Outcome;

import org.knowm.xchart.internal.chartpart.IChart;

import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The files that a run writes besides what it prints. */
final class OutputFiles {
    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "Also write the figures to a file.")
    private Path json;

    @Option(
            names = "--markdown",
            paramLabel = "FILE",
            description = "Also write the figures as a Markdown table.")
    private Path markdown;

    @Option(
            names = "--png",
            paramLabel = "FILE",
            description =
                    "Also draw what every case reaches beside what memory allows it, or the curves"
                            + " of --sweep.")
    private Path png;

    /** Those that are asked for, by their option. */
    Map<String, Path> given() {
        Map<String, Path> given = new LinkedHashMap<>();
        given.put("--json", json);
        given.put("--markdown", markdown);
        given.put("--png", png);
        given.values().removeIf(path -> path == null);
        return given;
    }

    boolean hasChart() {
        return png != null;
    }

    /** What is wrong with them, found before minutes are spent on what they are to hold. */
    Optional<String> mistake() {
        Map<Path, String> seen = new LinkedHashMap<>();
        for (Map.Entry<String, Path> each : given().entrySet()) {
            Path file = each.getValue().toAbsolutePath().normalize();
            String other = seen.put(file, each.getKey());
            if (other != null) {
                return Optional.of(other + " and " + each.getKey() + " name the same file");
            }
            if (Files.isDirectory(file)) {
                return Optional.of(each.getKey() + " is " + each.getValue() + ", a folder");
            }
            Path target = Files.exists(file) ? file : file.getParent();
            if (!Files.isWritable(target)) {
                return Optional.of(
                        each.getKey()
                                + " is "
                                + each.getValue()
                                + ", which cannot be written there");
            }
        }
        return Optional.empty();
    }

    void write(Outcome outcome) throws IOException {
        if (json != null) {
            Files.writeString(json, Json.text(outcome));
        }
        if (markdown != null) {
            Files.writeString(markdown, outcome.markdown());
        }
        if (png != null) {
            List<IChart> charts = outcome.charts();
            if (charts.isEmpty()) {
                throw new BenchmarkFailedException(
                        "--png has nothing to draw: memory bounds none of these cases");
            }
            Files.write(png, Charts.png(charts));
        }
    }
}
