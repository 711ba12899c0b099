package dev.logratio.bench.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Files of figures. */
public final class Json {
    private static final ObjectMapper MAPPER =
            new ObjectMapper()
                    .enable(SerializationFeature.INDENT_OUTPUT)
                    .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
                    .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private Json() {}

    /** An outcome as a file has it. */
    public static String text(Outcome outcome) throws IOException {
        return MAPPER.writeValueAsString(outcome) + "\n";
    }

    /**
     * Reads the figures of a full run or of {@code --loop}.
     *
     * @throws UnusableFileException if the file is not such
     */
    public static Report report(Path file) throws IOException {
        Report report = read(file, Report.class);
        if (report.machine() == null
                || report.alternating() == null
                || report.alternating().isEmpty()
                || report.alternating().stream().anyMatch(row -> row.name() == null)) {
            throw new UnusableFileException(file + " has no figures of the alternating loop");
        }
        return report;
    }

    /**
     * Reads the figures of a kind of run.
     *
     * @throws UnusableFileException if the file is not such
     */
    static <T extends Outcome> T read(Path file, Class<T> kind) throws IOException {
        try {
            return MAPPER.treeToValue(tree(file), kind);
        } catch (JsonProcessingException e) {
            throw new UnusableFileException(
                    file + " is no file of figures by --json: " + firstLine(e));
        }
    }

    /** A file's content. */
    static JsonNode tree(Path file) throws IOException {
        try {
            JsonNode tree = MAPPER.readTree(Files.readAllBytes(file));
            if (!tree.isObject()) {
                throw new UnusableFileException(file + " is no file of figures by --json");
            }
            return tree;
        } catch (NoSuchFileException e) {
            throw new UnusableFileException(file + " is not there");
        } catch (JsonProcessingException e) {
            throw new UnusableFileException(file + " is not JSON: " + firstLine(e));
        }
    }

    private static String firstLine(JsonProcessingException e) {
        return e.getOriginalMessage().lines().findFirst().orElse("");
    }
}
