package dev.logratio.trainers.quickstart;

import java.util.Collection;
import java.util.stream.Collectors;

/** Makes text from a file safe to print: it stays on its line and cannot steer a terminal. */
final class Printable {
    private static final int LONGEST_NAME = 60;
    private static final int MOST_NAMES = 20;

    private Printable() {}

    /**
     * The text with its control characters, line ends, bidirectional overrides and halves of
     * surrogate pairs spelled as in Java's source, such as {@code \n} and <code>&#92;u001b</code>.
     */
    static String of(String text) {
        StringBuilder printable = new StringBuilder(text.length());
        text.codePoints().forEach(character -> append(printable, character));
        return printable.toString();
    }

    /** The text in quotation marks, cut if it is long: to be named in a message. */
    static String quote(String text) {
        return '"' + name(text) + '"';
    }

    /** The names, separated by commas; long ones and those past the twentieth are cut. */
    static String list(Collection<String> names) {
        String first =
                names.stream()
                        .limit(MOST_NAMES)
                        .map(Printable::name)
                        .collect(Collectors.joining(", "));
        return names.size() <= MOST_NAMES
                ? first
                : first + " and " + (names.size() - MOST_NAMES) + " more";
    }

    private static String name(String text) {
        boolean fits = text.codePointCount(0, text.length()) <= LONGEST_NAME;
        return fits
                ? of(text)
                : of(text.substring(0, text.offsetByCodePoints(0, LONGEST_NAME))) + "...";
    }

    private static void append(StringBuilder printable, int character) {
        if (!steersTerminal(character)) {
            printable.appendCodePoint(character);
            return;
        }
        printable.append(
                switch (character) {
                    case '\n' -> "\\n";
                    case '\r' -> "\\r";
                    case '\t' -> "\\t";
                    default -> Report.format("\\u%04x", character);
                });
    }

    private static boolean steersTerminal(int character) {
        return switch (Character.getType(character)) {
            case Character.CONTROL,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR,
                    Character.SURROGATE ->
                    true;
            case Character.FORMAT -> setsDirection(character);
            default -> false;
        };
    }

    private static boolean setsDirection(int character) {
        return character == 0x061c
                || character == 0x200e
                || character == 0x200f
                || character >= 0x202a && character <= 0x202e
                || character >= 0x2066 && character <= 0x2069;
    }
}
