package dev.logratio.trainers.quickstart;

import dev.logratio.trainers.quickstart.PreferenceParser.BadLineException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * A preference file, read.
 *
 * @param pairs every pair of the file, in its order
 * @param badLines how many lines were not pairs
 */
record PreferenceFile(List<PreferencePair> pairs, int badLines) {
    /** What to do about a line that is not a preference pair. */
    enum OnBadLine {
        /** Report it and read on. */
        SKIP,
        /** Give up. */
        STOP
    }

    /** The bundled pairs, in plain English. */
    static PreferenceFile bundled() throws IOException {
        try (InputStream in = PreferenceFile.class.getResourceAsStream("preferences.jsonl")) {
            return read(in, "the bundled preferences", OnBadLine.STOP, message -> {});
        }
    }

    /**
     * Reads JSONL in UTF-8; empty lines and a byte order mark are allowed.
     *
     * @param report receives one message a bad line, with its number
     * @throws IOException if the file cannot be read, or at the first bad line if asked to stop there
     */
    static PreferenceFile read(Path file, OnBadLine onBadLine, Consumer<String> report) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            return read(in, file.toString(), onBadLine, report);
        }
    }

    private static PreferenceFile read(InputStream in, String name, OnBadLine onBadLine, Consumer<String> report) throws IOException {
        PreferenceParser parser = new PreferenceParser();
        List<PreferencePair> pairs = new ArrayList<>();
        int badLines = 0;
        int number = 0;
        // Bytes that are not UTF-8 become U+FFFD, so that one damaged line cannot hide the rest of the file.
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                number++;
                String text = number == 1 && line.startsWith("\uFEFF") ? line.substring(1) : line;
                if (text.isBlank()) {
                    continue;
                }
                try {
                    pairs.add(parser.parse(text));
                } catch (BadLineException e) {
                    String message = name + ", line " + number + ": " + e.getMessage();
                    if (onBadLine == OnBadLine.STOP) {
                        throw new IOException(message);
                    }
                    badLines++;
                    report.accept(message);
                }
            }
        }
        return new PreferenceFile(List.copyOf(pairs), badLines);
    }
}
