package dev.logratio.safetensors;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.io.JsonStringEncoder;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The JSON header of a file: parsed and checked against the size of the data that follows it. */
final class Header {
    /** The largest header that the format allows, in bytes. */
    static final long MAX_BYTES = 100_000_000;

    static final String METADATA = "__metadata__";

    /**
     * One tensor as the header describes it; {@code begin} and {@code end} count bytes from the
     * start of the data.
     */
    record Entry(StoredType type, long[] shape, long begin, long end) {}

    /**
     * Names are not kept for the next file: the table of them refuses names that share a hash, in
     * all files after the first that has them. What limits a name or text is the header's own
     * length.
     */
    private static final JsonFactory JSON =
            JsonFactory.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
                    .streamReadConstraints(
                            StreamReadConstraints.builder()
                                    .maxNameLength((int) MAX_BYTES)
                                    .maxStringLength((int) MAX_BYTES)
                                    .build())
                    .build();

    private final Map<String, String> metadata = new LinkedHashMap<>();
    private final Map<String, Entry> entries = new LinkedHashMap<>();

    private Header() {}

    Map<String, String> metadata() {
        return metadata;
    }

    Map<String, Entry> entries() {
        return entries;
    }

    /**
     * Parses a header.
     *
     * @param bytes the header without its length
     * @param dataBytes how many bytes of data follow it
     * @throws SafetensorsException if it is not what the format demands
     */
    static Header parse(byte[] bytes, long dataBytes) throws IOException {
        Header header = new Header();
        String text = decode(bytes);
        if (!text.startsWith("{")) {
            throw new SafetensorsException(
                    "the header does not begin with '{', expected a JSON object");
        }
        if (!text.stripTrailing().equals(stripSpaces(text))) {
            throw new SafetensorsException(
                    "the header is padded with other characters than spaces");
        }
        try (JsonParser parser = JSON.createParser(text)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                if (name.equals(METADATA)) {
                    header.readMetadata(parser);
                } else {
                    header.entries.put(
                            name, readEntry(parser, "tensor " + quoted(name), dataBytes));
                }
            }
            if (parser.nextToken() != null) {
                throw new SafetensorsException(
                        "the header goes on after its JSON object, expected spaces only");
            }
        } catch (JsonProcessingException e) {
            throw new SafetensorsException(
                    "the header is not valid JSON: " + quotable(e.getOriginalMessage()));
        }
        checkCoverage(header.entries, dataBytes);
        return header;
    }

    /** A name as it may stand in a message: in quotes, control characters escaped. */
    static String quoted(String name) {
        return "'" + quotable(name) + "'";
    }

    private static String quotable(String text) {
        return new String(JsonStringEncoder.getInstance().quoteAsString(text));
    }

    private static String decode(byte[] bytes) throws SafetensorsException {
        try {
            // A fresh decoder reports malformed input; String's constructor would replace it.
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException e) {
            throw new SafetensorsException("the header is not valid UTF-8");
        }
    }

    private static String stripSpaces(String text) {
        int end = text.length();
        while (end > 0 && text.charAt(end - 1) == ' ') {
            end--;
        }
        return text.substring(0, end);
    }

    private void readMetadata(JsonParser parser) throws IOException {
        if (!parser.isExpectedStartObjectToken()) {
            throw new SafetensorsException(
                    METADATA + " is not an object, expected strings by name");
        }
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.currentName();
            if (parser.nextToken() != JsonToken.VALUE_STRING) {
                throw new SafetensorsException(
                        METADATA + " " + quoted(key) + " is not a string, expected one");
            }
            metadata.put(key, parser.getText());
        }
    }

    private static Entry readEntry(JsonParser parser, String what, long dataBytes)
            throws IOException {
        if (!parser.isExpectedStartObjectToken()) {
            throw new SafetensorsException(
                    what + " is not an object, expected dtype, shape and data_offsets");
        }
        StoredType type = null;
        long[] shape = null;
        long[] offsets = null;
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.currentName();
            JsonToken value = parser.nextToken();
            switch (key) {
                case "dtype" -> type = readType(parser, value, what);
                case "shape" -> shape = readSizes(parser, value, what + ": shape");
                case "data_offsets" -> offsets = readSizes(parser, value, what + ": data_offsets");
                default ->
                        throw new SafetensorsException(
                                what
                                        + " has a field "
                                        + quoted(key)
                                        + ", expected dtype, shape and data_offsets");
            }
        }
        if (type == null || shape == null || offsets == null) {
            String missing = type == null ? "dtype" : shape == null ? "shape" : "data_offsets";
            throw new SafetensorsException(
                    what + " has no " + missing + ", expected dtype, shape and data_offsets");
        }
        return checked(what, type, shape, offsets, dataBytes);
    }

    private static StoredType readType(JsonParser parser, JsonToken value, String what)
            throws IOException {
        StoredType type =
                value == JsonToken.VALUE_STRING ? StoredType.named(parser.getText()) : null;
        if (type == null) {
            String found = value.isStructStart() ? "not a string" : quoted(parser.getText());
            throw new SafetensorsException(
                    what + ": dtype is " + found + ", expected one of " + StoredType.supported());
        }
        return type;
    }

    private static long[] readSizes(JsonParser parser, JsonToken value, String what)
            throws IOException {
        if (value != JsonToken.START_ARRAY) {
            throw new SafetensorsException(what + " is not an array, expected integers >= 0");
        }
        List<Long> sizes = new ArrayList<>();
        for (JsonToken token = parser.nextToken();
                token != JsonToken.END_ARRAY;
                token = parser.nextToken()) {
            if (token != JsonToken.VALUE_NUMBER_INT || parser.getText().startsWith("-")) {
                throw new SafetensorsException(what + " holds something else than integers >= 0");
            }
            if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
                throw new SafetensorsException(what + " holds an integer beyond 2^63");
            }
            sizes.add(parser.getLongValue());
        }
        return sizes.stream().mapToLong(Long::longValue).toArray();
    }

    private static Entry checked(
            String what, StoredType type, long[] shape, long[] offsets, long dataBytes)
            throws SafetensorsException {
        if (offsets.length != 2 || offsets[0] > offsets[1]) {
            throw new SafetensorsException(
                    what
                            + ": data_offsets "
                            + List.of(boxed(offsets))
                            + ", expected [begin, end] with begin <= end");
        }
        if (offsets[1] > dataBytes) {
            throw new SafetensorsException(
                    what
                            + " ends at byte "
                            + offsets[1]
                            + " of the data, which has only "
                            + dataBytes
                            + " bytes: the file is truncated or malformed");
        }
        long bytes = byteSize(what, type, shape);
        if (bytes != offsets[1] - offsets[0]) {
            throw new SafetensorsException(
                    what
                            + ": data_offsets span "
                            + (offsets[1] - offsets[0])
                            + " bytes, expected "
                            + bytes
                            + " for "
                            + type
                            + " "
                            + List.of(boxed(shape)));
        }
        return new Entry(type, shape, offsets[0], offsets[1]);
    }

    private static long byteSize(String what, StoredType type, long[] shape)
            throws SafetensorsException {
        try {
            long bits = type.bits();
            boolean empty = false;
            for (long size : shape) { // a size of 0 does not excuse the others
                empty |= size == 0;
                bits = Math.multiplyExact(bits, Math.max(size, 1));
            }
            if (empty) {
                return 0;
            }
            if (bits % Byte.SIZE != 0) {
                throw new SafetensorsException(what + " does not fill whole bytes");
            }
            return bits / Byte.SIZE;
        } catch (ArithmeticException e) {
            throw new SafetensorsException(
                    what + ": shape " + List.of(boxed(shape)) + " overflows");
        }
    }

    /**
     * Sorted by place, each tensor must begin where the one before ended, and the last end with the
     * data.
     */
    private static void checkCoverage(Map<String, Entry> entries, long dataBytes)
            throws SafetensorsException {
        List<Map.Entry<String, Entry>> byPlace = new ArrayList<>(entries.entrySet());
        byPlace.sort(
                Comparator.comparingLong((Map.Entry<String, Entry> e) -> e.getValue().begin())
                        .thenComparingLong(e -> e.getValue().end()));
        long covered = 0;
        for (Map.Entry<String, Entry> named : byPlace) {
            Entry entry = named.getValue();
            if (entry.begin() != covered) {
                throw new SafetensorsException(
                        "tensor "
                                + quoted(named.getKey())
                                + " begins at byte "
                                + entry.begin()
                                + " of the data, expected "
                                + covered
                                + (entry.begin() > covered
                                        ? ": there is a gap before it"
                                        : ": it overlaps another tensor"));
            }
            covered = entry.end();
        }
        if (covered != dataBytes) {
            throw new SafetensorsException(
                    "the tensors cover "
                            + covered
                            + " bytes of data, but the file has "
                            + dataBytes);
        }
    }

    private static Long[] boxed(long[] values) {
        Long[] boxes = new Long[values.length];
        for (int i = 0; i < values.length; i++) {
            boxes[i] = values[i];
        }
        return boxes;
    }
}
