package dev.logratio.trainers.quickstart;

import java.util.Optional;
import java.util.regex.Pattern;

/** Tells kinds of text files without any record apart, by their first line. */
final class TextKind {
    private static final Pattern SEPARATOR = Pattern.compile("[,;\t]");

    private TextKind() {}

    /** The kind with its article, such as "a CSV file"; empty if the line may be a JSON record. */
    static Optional<String> of(String firstLine) {
        if (firstLine.equals("{")) {
            return Optional.of("JSON with one object over several lines");
        }
        if (firstLine.startsWith("{")) {
            return Optional.empty();
        }
        if (firstLine.startsWith("<")) {
            return Optional.of("an HTML or XML file");
        }
        if (firstLine.startsWith("version https://git-lfs")) {
            return Optional.of("a Git LFS pointer without the file that it stands for");
        }
        if (SEPARATOR.matcher(firstLine).find()) {
            return Optional.of("text, by its first line CSV or TSV");
        }
        return Optional.of("text without JSON");
    }
}
