package dev.logratio.trainers.quickstart;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.CharacterCodingException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.zip.ZipException;

/**
 * A preference file, read.
 *
 * @param pairs every pair of the file, in its order
 * @param badLines how many records were not pairs
 * @param notes what to tell about the file's columns, a sentence each
 */
record PreferenceFile(List<PreferencePair> pairs, int badLines, List<String> notes) {
    /** What to do about a record that is not a preference pair. */
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
     * Reads JSON lines or a JSON array in UTF-8, plain or compressed by gzip; empty lines and a
     * byte order mark are allowed.
     *
     * @param report receives one message per bad record, with its place, once the file has been
     *     read
     * @throws IOException if the file cannot be read, holds no pair among its records, or at the
     *     first bad record if asked to stop there; the message names the file and is one sentence
     */
    static PreferenceFile read(Path file, OnBadLine onBadLine, Consumer<String> report)
            throws IOException {
        if (Files.isDirectory(file)) {
            throw new FileSystemException(file.toString(), null, "it is a folder; expected a file");
        }
        try (InputStream in = Files.newInputStream(file)) {
            return read(in, file.toString(), onBadLine, report);
        }
    }

    private static PreferenceFile read(
            InputStream in, String name, OnBadLine onBadLine, Consumer<String> report)
            throws IOException {
        PreferenceParser parser = new PreferenceParser();
        List<PreferencePair> pairs = new ArrayList<>();
        List<String> faults = new ArrayList<>();
        try {
            Records records = Container.open(in);
            boolean goOn = true;
            while (goOn) {
                goOn =
                        addNext(records, parser, pairs, faults)
                                && (onBadLine == OnBadLine.SKIP || faults.isEmpty());
            }
            if (onBadLine == OnBadLine.SKIP && pairs.isEmpty() && !faults.isEmpty()) {
                throw records.otherKind()
                        .map(NotPreferencesException::of)
                        .orElseGet(
                                () ->
                                        new NotPreferencesException(
                                                "holds no preference pair; " + faults.getFirst()));
            }
        } catch (IOException e) {
            throw new IOException(name + " " + reason(e), e);
        }
        if (onBadLine == OnBadLine.STOP && !faults.isEmpty()) {
            throw new IOException(name + ", " + faults.getFirst());
        }
        faults.forEach(fault -> report.accept(name + ", " + fault));
        return new PreferenceFile(List.copyOf(pairs), faults.size(), parser.notes());
    }

    /** Reads one record into a pair or a fault; false if there is none left. */
    private static boolean addNext(
            Records records,
            PreferenceParser parser,
            List<PreferencePair> pairs,
            List<String> faults)
            throws IOException {
        try {
            Json next = records.next();
            if (next == null) {
                return false;
            }
            pairs.add(parser.parse(next));
        } catch (BadRecordException e) {
            faults.add(records.place() + ": " + e.getMessage());
        }
        return true;
    }

    private static String reason(IOException e) {
        return switch (e) {
            case NotPreferencesException other -> other.getMessage();
            case CharacterCodingException _ -> "is not UTF-8";
            case EOFException _ -> "is cut short: its gzip data do not end";
            case ZipException _ -> "holds damaged gzip data: " + e.getMessage();
            default -> "cannot be read: " + e.getMessage();
        };
    }
}
