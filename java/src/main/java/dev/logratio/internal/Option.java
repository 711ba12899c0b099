package dev.logratio.internal;

import java.util.List;
import java.util.regex.Pattern;

/**
 * An option as text has it: a number, an integer or one of a few words.
 *
 * @param name in snake case, as the field of the C struct
 * @param words the words it may be, the default first; empty if it is a number
 * @param range the numbers it may be; null if it is an integer or a word
 * @param defaultText the default
 */
public record Option(String name, List<String> words, Interval range, String defaultText) {
    // Double.parseDouble alone would take blanks around it, "1f", "0x1p3" and "NaN", too.
    private static final Pattern DECIMAL =
            Pattern.compile("[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?");
    private static final Pattern INTEGER = Pattern.compile("-?[0-9]+");

    /**
     * What it may be, to follow "expected".
     *
     * @return for instance {@code "a finite number > 0"} or {@code "sum|mean"}
     */
    public String expected() {
        if (!words.isEmpty()) {
            return String.join("|", words);
        }
        return range == null ? "an integer" : range.toString();
    }

    /**
     * Whether a text is a value of it.
     *
     * @param text any
     * @return false for a number out of its range, too
     */
    public boolean accepts(String text) {
        if (!words.isEmpty()) {
            return words.contains(text);
        }
        return range == null
                ? isInteger(text)
                : DECIMAL.matcher(text).matches() && range.contains(Double.parseDouble(text));
    }

    private static boolean isInteger(String text) {
        if (!INTEGER.matcher(text).matches()) {
            return false;
        }
        try {
            Long.parseLong(text);
            return true;
        } catch (NumberFormatException e) {
            return false; // more than 64 bits
        }
    }

    void require(String text) {
        if (!accepts(text)) {
            throw new IllegalArgumentException(
                    name + " is \"" + text + "\", expected " + expected());
        }
    }
}
