package dev.logratio.trainers.quickstart;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;

/** Tells kinds of files that hold no UTF-8 text apart, by their first bytes. */
final class BinaryKind {
    /** A kind and the bytes that give it away, one byte per character. */
    private record Mark(String kind, int offset, String bytes) {
        boolean isIn(String head) {
            return head.startsWith(bytes, offset);
        }
    }

    private static final List<Mark> MARKS =
            List.of(
                    new Mark("a Parquet file", 0, "PAR1"),
                    new Mark("an Arrow file", 0, "ARROW1"),
                    new Mark("an Arrow stream", 0, "\u00ff\u00ff\u00ff\u00ff"),
                    new Mark("an Avro file", 0, "Obj\u0001"),
                    new Mark("a zip archive", 0, "PK\u0003\u0004"),
                    new Mark("a tar archive", 257, "ustar"),
                    new Mark("compressed by Zstandard", 0, "(\u00b5/\u00fd"),
                    new Mark("compressed by xz", 0, "\u00fd7zXZ\0"),
                    new Mark("compressed by bzip2", 0, "BZh"),
                    new Mark("an SQLite database", 0, "SQLite format 3\0"),
                    new Mark("an HDF5 file", 0, "\u0089HDF"),
                    new Mark("a PDF file", 0, "%PDF-"),
                    new Mark("UTF-32 text", 0, "\u00ff\u00fe\0\0"),
                    new Mark("UTF-32 text", 0, "\0\0\u00fe\u00ff"),
                    new Mark("UTF-16 text", 0, "\u00ff\u00fe"),
                    new Mark("UTF-16 text", 0, "\u00fe\u00ff"));

    private BinaryKind() {}

    /** The kind with its article, such as "a Parquet file"; empty if the bytes may be text. */
    static Optional<String> of(byte[] first) {
        String head = new String(first, StandardCharsets.ISO_8859_1);
        Optional<String> marked =
                MARKS.stream().filter(mark -> mark.isIn(head)).map(Mark::kind).findFirst();
        if (marked.isPresent() || head.indexOf('\0') < 0) {
            return marked;
        }
        if (isUtf16WithoutMark(first)) {
            return Optional.of("UTF-16 text");
        }
        return startsLikeJson(head) ? Optional.empty() : Optional.of("a binary file");
    }

    /** A zero byte further on is a fault of that line alone. */
    private static boolean startsLikeJson(String head) {
        String text = head.stripLeading();
        return (text.startsWith("{") || text.startsWith("[")) && !text.startsWith("\0", 1);
    }

    /** JSON starts with two characters of ASCII, each with a zero byte before or behind it. */
    private static boolean isUtf16WithoutMark(byte[] first) {
        if (first.length < 4) {
            return false;
        }
        boolean littleEndian = first[0] > 0 && first[1] == 0 && first[2] > 0 && first[3] == 0;
        boolean bigEndian = first[0] == 0 && first[1] > 0 && first[2] == 0 && first[3] > 0;
        return littleEndian || bigEndian;
    }
}
