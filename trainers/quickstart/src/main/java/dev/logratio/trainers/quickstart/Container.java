package dev.logratio.trainers.quickstart;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Optional;
import java.util.zip.GZIPInputStream;

/** Finds out how a file holds its records: as lines or as an array, plain or compressed. */
final class Container {
    /** More than enough for every mark of a kind of file. */
    private static final int HEAD = 4096;

    private Container() {}

    /**
     * Opens the records of a file.
     *
     * @param in the file's bytes from its start
     * @throws NotPreferencesException if its first bytes are those of another kind of file
     */
    static Records open(InputStream in) throws IOException {
        InputStream plain = new BufferedInputStream(in);
        if (isGzip(peek(plain))) {
            plain = new BufferedInputStream(new GZIPInputStream(plain, HEAD));
        }
        byte[] head = peek(plain);
        if (isGzip(head)) {
            throw NotPreferencesException.of("compressed by gzip more than once");
        }
        Optional<String> otherKind = BinaryKind.of(head);
        if (otherKind.isPresent()) {
            throw NotPreferencesException.of(otherKind.get());
        }
        int start = hasByteOrderMark(head) ? 3 : 0;
        plain.skipNBytes(start);
        return firstCharacter(head, start) == '[' ? new JsonArray(plain) : new JsonLines(plain);
    }

    private static byte[] peek(InputStream in) throws IOException {
        in.mark(HEAD);
        byte[] head = in.readNBytes(HEAD);
        in.reset();
        return head;
    }

    private static boolean isGzip(byte[] head) {
        return head.length >= 2 && head[0] == 0x1f && head[1] == (byte) 0x8b;
    }

    private static boolean hasByteOrderMark(byte[] head) {
        return head.length >= 3
                && head[0] == (byte) 0xef
                && head[1] == (byte) 0xbb
                && head[2] == (byte) 0xbf;
    }

    private static int firstCharacter(byte[] head, int start) {
        int at = start;
        while (at < head.length && Character.isWhitespace(head[at])) {
            at++;
        }
        return at < head.length ? head[at] : -1;
    }
}
