package dev.logratio.trainers.quickstart;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;

import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/** The elements of one JSON array. Behind a fault of its syntax nothing can be read. */
final class JsonArray implements Records {
    private final JsonParser parser;
    private int record;

    /** Reads from a stream, which stays the caller's to close. */
    JsonArray(InputStream in) throws IOException {
        // The decoder refuses what is not UTF-8; the parser alone would guess other encodings.
        parser =
                Json.FACTORY.createParser(
                        new InputStreamReader(in, StandardCharsets.UTF_8.newDecoder()));
        if (parser.nextToken() != JsonToken.START_ARRAY) {
            throw new IllegalArgumentException("in must start with a JSON array");
        }
    }

    @Override
    public Json next() throws IOException {
        record++;
        try {
            if (parser.nextToken() != JsonToken.END_ARRAY) {
                return Json.read(parser);
            }
            if (parser.nextToken() == null) {
                return null;
            }
        } catch (JsonProcessingException e) {
            throw new NotPreferencesException(
                    Records.isCutShort(e)
                            ? "is cut short: its JSON array ends within record " + record
                            : "holds a JSON array with a fault in record "
                                    + record
                                    + ": "
                                    + Records.reason(e));
        }
        throw new NotPreferencesException(
                "goes on after its JSON array; expected one array and no more");
    }

    @Override
    public String place() {
        return "record " + record;
    }

    @Override
    public Optional<String> otherKind() {
        return Optional.empty();
    }
}
