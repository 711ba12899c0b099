package dev.logratio.trainers.quickstart;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * One record per line; blank lines count as lines but not as records. Lines are told apart in
 * bytes, so that one damaged line cannot hide the rest of the file.
 */
final class JsonLines implements Records {
    private static final int LONGEST_LINE = 64 << 20;

    private final InputStream in;
    private final byte[] buffer = new byte[1 << 16];
    private int at;
    private int limit;
    private boolean afterReturn;
    private int line;
    private int records;
    private int notUtf8;
    private String first;

    /** Reads from a stream, which stays the caller's to close. */
    JsonLines(InputStream in) {
        this.in = in;
    }

    @Override
    public Json next() throws IOException, BadRecordException {
        for (byte[] bytes = readLine(); bytes != null; bytes = readLine()) {
            line++;
            if (isBlank(bytes)) {
                continue;
            }
            records++;
            if (records == 1) {
                first = new String(bytes, StandardCharsets.UTF_8).strip();
            }
            return parse(bytes);
        }
        // A few damaged lines are bad lines; many are another encoding.
        if (2 * notUtf8 > records) {
            throw new NotPreferencesException(
                    "is not UTF-8: " + notUtf8 + " of its " + records + " lines are not");
        }
        return null;
    }

    @Override
    public String place() {
        return "line " + line;
    }

    @Override
    public Optional<String> otherKind() {
        return TextKind.of(first);
    }

    private static boolean isBlank(byte[] bytes) {
        for (byte b : bytes) {
            if (b < 0 || !Character.isWhitespace(b)) {
                return false;
            }
        }
        return true;
    }

    private Json parse(byte[] bytes) throws IOException, BadRecordException {
        try (JsonParser parser =
                Json.FACTORY.createParser(
                        StandardCharsets.UTF_8
                                .newDecoder()
                                .decode(ByteBuffer.wrap(bytes))
                                .toString())) {
            parser.nextToken();
            Json record = Json.read(parser);
            if (parser.nextToken() != null) {
                throw new BadRecordException("not valid JSON: something follows the record");
            }
            return record;
        } catch (CharacterCodingException e) {
            notUtf8++;
            throw new BadRecordException("not UTF-8");
        } catch (JsonProcessingException e) {
            throw new BadRecordException(Records.reason(e));
        }
    }

    /** The bytes before the next line feed, carriage return or both; null at the end. */
    private byte[] readLine() throws IOException {
        if (afterReturn && fill() && buffer[at] == '\n') {
            at++;
        }
        afterReturn = false;
        if (!fill()) {
            return null;
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        while (fill()) {
            int end = at;
            while (end < limit && buffer[end] != '\n' && buffer[end] != '\r') {
                end++;
            }
            bytes.write(buffer, at, end - at);
            at = Math.min(end + 1, limit);
            if (end < limit) {
                afterReturn = buffer[end] == '\r';
                break;
            }
            if (bytes.size() > LONGEST_LINE) {
                throw new NotPreferencesException(
                        "has a line "
                                + (line + 1)
                                + " of more than "
                                + (LONGEST_LINE >> 20)
                                + " MiB; expected one record per line");
            }
        }
        return bytes.toByteArray();
    }

    /** Whether there is another byte at {@code at}. */
    private boolean fill() throws IOException {
        if (at == limit) {
            at = 0;
            limit = Math.max(0, in.read(buffer));
        }
        return limit > 0;
    }
}
