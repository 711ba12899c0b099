package dev.logratio.cli;

/** Keeps a message on one line, whatever the names in it hold. */
final class OneLine {
    private static final int LONGEST = 2000;

    private OneLine() {}

    /**
     * The text with control characters and line separators written as escapes, cut where it is very
     * long.
     */
    static String of(String text) {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < text.length() && line.length() < LONGEST; i++) {
            char c = text.charAt(i);
            if (breaksLine(c)) {
                line.append(String.format("\\u%04x", (int) c));
            } else {
                line.append(c);
            }
        }
        return line.length() < LONGEST ? line.toString() : line.append("...").toString();
    }

    private static boolean breaksLine(char c) {
        return Character.isISOControl(c)
                || Character.getType(c) == Character.LINE_SEPARATOR
                || Character.getType(c) == Character.PARAGRAPH_SEPARATOR
                || Character.isSurrogate(c);
    }
}
