package dev.logratio.trainers.quickstart;

import com.fasterxml.jackson.core.JsonProcessingException;

import java.io.IOException;
import java.util.Optional;

/** The records of a preference file, one after another. */
sealed interface Records permits JsonLines, JsonArray {
    /**
     * Reads the next record.
     *
     * @return any JSON value, or null after the last one
     * @throws BadRecordException if this record cannot be read; the next one may be
     * @throws IOException if nothing more can be read
     */
    Json next() throws IOException, BadRecordException;

    /** Where the record that was read last stands, such as "line 5". */
    String place();

    /** The kind of file that this seems to be if none of its records is a pair. */
    Optional<String> otherKind();

    /**
     * Whether JSON ended too early. The parser has an exception for that, but throws others as
     * well.
     */
    static boolean isCutShort(JsonProcessingException e) {
        return e.getOriginalMessage().startsWith("Unexpected end-of-input");
    }

    /** The reason that JSON could not be read, without the parser's internals. */
    static String reason(JsonProcessingException e) {
        if (isCutShort(e)) {
            return "not valid JSON: it is cut short";
        }
        return "not valid JSON: " + e.getOriginalMessage().lines().findFirst().orElse("unreadable");
    }
}
