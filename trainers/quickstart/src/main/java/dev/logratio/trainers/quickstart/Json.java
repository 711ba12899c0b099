package dev.logratio.trainers.quickstart;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.json.JsonReadFeature;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A JSON value, as much of it as preference files need. */
sealed interface Json {
    /** Makes parsers that read what Python writes, NaN among it. */
    JsonFactory FACTORY =
            JsonFactory.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build();

    /** A string. */
    record Text(String value) implements Json {}

    /** An array. */
    record Array(List<Json> elements) implements Json {}

    /** An object; of fields with the same name the last one counts. */
    record Fields(Map<String, Json> values) implements Json {
        /** The field's value, {@link Other#NULL} where it is absent. */
        Json get(String name) {
            return values.getOrDefault(name, Other.NULL);
        }
    }

    /** Values that no preference is told in. */
    enum Other implements Json {
        NULL,
        NUMBER,
        BOOLEAN
    }

    /**
     * Reads the value that starts at the parser's current token, up to its last token. The parser
     * limits how deeply values may be nested.
     */
    static Json read(JsonParser parser) throws IOException {
        return switch (parser.currentToken()) {
            case VALUE_STRING -> new Text(parser.getText());
            case VALUE_NULL -> Other.NULL;
            case VALUE_TRUE, VALUE_FALSE -> Other.BOOLEAN;
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> Other.NUMBER;
            case START_ARRAY -> {
                List<Json> elements = new ArrayList<>();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    elements.add(read(parser));
                }
                yield new Array(elements);
            }
            case START_OBJECT -> {
                Map<String, Json> fields = new LinkedHashMap<>();
                while (parser.nextToken() != JsonToken.END_OBJECT) {
                    String name = parser.currentName();
                    parser.nextToken();
                    fields.put(name, read(parser));
                }
                yield new Fields(fields);
            }
            default -> throw new IllegalStateException("no value starts here: " + parser);
        };
    }
}
