package dev.logratio.bench.report;

import java.nio.file.Path;

/** The part of a document between two comments, which is made from results and not written. */
final class MarkedPart {
    private MarkedPart() {}

    /**
     * The document with another content of a part.
     *
     * @param document its text
     * @param file its name, for the message
     * @param name of the part, which begins after {@code <!-- NAME:begin -->} and ends before
     *     {@code <!-- NAME:end -->}
     * @param content whole lines
     * @throws UnusableFileException if the marks are not there
     */
    static String replaced(String document, Path file, String name, String content) {
        String begin = "<!-- " + name + ":begin -->\n";
        String end = "<!-- " + name + ":end -->\n";
        int from = document.indexOf(begin);
        int to = document.indexOf(end);
        if (from < 0 || to < from) {
            throw new UnusableFileException(
                    file + " lacks the lines " + begin.strip() + " and " + end.strip());
        }
        return document.substring(0, from + begin.length()) + content + document.substring(to);
    }
}
