package dev.logratio.trainers.metrics;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.Objects;

/**
 * Writes one JSON object per line, UTF-8: {@code {"step":12,"loss":0.69,"rewards/chosen":0.1}}.
 * Numbers are written so that they read back to the bit. NaN and infinities, which JSON does not
 * have, are the strings {@code "NaN"}, {@code "Infinity"} and {@code "-Infinity"}, as in protobuf's
 * JSON; {@code float(...)} in Python and {@code Double.valueOf} read them.
 *
 * <p>A line is handed to the operating system before {@code log} returns: the end of the process
 * loses at most the line that it is in.
 *
 * @since 0.1.0
 */
public final class JsonLinesSink extends CheckedSink {
    private static final JsonFactory FACTORY = new JsonFactory();
    private static final String STEP = "step";

    private final RecordFile file;

    private JsonLinesSink(String name, RecordFile file) {
        super(name);
        this.file = file;
    }

    /**
     * Opens a file to append to; it and its folder are made where there is none. What a crash left
     * of a last line becomes a line of its own.
     *
     * @param file usually {@code metrics.jsonl}
     * @return the sink; close it
     * @throws IOException if the file cannot be written; the message names it
     * @throws NullPointerException if the file is null; the message names it
     */
    public static JsonLinesSink open(Path file) throws IOException {
        Objects.requireNonNull(file, "file");
        RecordFile lines =
                RecordFile.open(
                        file,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.READ,
                        StandardOpenOption.WRITE);
        try {
            if (lines.size() > 0 && lines.at(lines.size() - 1) != '\n') {
                lines.append(new byte[] {'\n'});
            }
        } catch (IOException e) {
            try (lines) {
                throw new IOException(
                        file + " cannot be opened for writing: " + RecordFile.reason(e), e);
            }
        }
        return new JsonLinesSink(file.toString(), lines);
    }

    @Override
    void write(long step, Map<String, Double> values) throws IOException {
        if (values.containsKey(STEP)) {
            throw new IllegalArgumentException(
                    "values hold the name step, which is the line's own; expected another");
        }
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        try (JsonGenerator json = FACTORY.createGenerator(line)) {
            json.writeStartObject();
            json.writeNumberField(STEP, step);
            for (Map.Entry<String, Double> value : values.entrySet()) {
                json.writeNumberField(value.getKey(), value.getValue());
            }
            json.writeEndObject();
            json.writeRaw('\n');
        }
        file.append(line.toByteArray());
    }

    @Override
    void end() throws IOException {
        file.close();
    }
}
