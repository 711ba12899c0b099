package dev.logratio.trainers.metrics;

import com.google.protobuf.CodedOutputStream;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Map;

/**
 * The three messages that an event file of scalars needs. Source: TensorBoard's {@code event.proto}
 * and {@code summary.proto}, whose field numbers stand here.
 */
final class EventMessages {
    /** What {@code file_version} of the first event says. */
    static final String VERSION = "brain.Event:2";

    private static final int EVENT_WALL_TIME = 1;
    private static final int EVENT_STEP = 2;
    private static final int EVENT_FILE_VERSION = 3;
    private static final int EVENT_SUMMARY = 5;
    private static final int EVENT_SESSION_LOG = 7;
    private static final int SUMMARY_VALUE = 1;
    private static final int VALUE_TAG = 1;
    private static final int VALUE_SIMPLE_VALUE = 2;
    private static final int SESSION_LOG_STATUS = 1;
    private static final int STATUS_START = 1;

    private EventMessages() {}

    /** Writes the fields of a message. */
    private interface Fields {
        void writeTo(CodedOutputStream out) throws IOException;
    }

    static byte[] version(double wallTime) throws IOException {
        return message(
                out -> {
                    out.writeDouble(EVENT_WALL_TIME, wallTime);
                    out.writeString(EVENT_FILE_VERSION, VERSION);
                });
    }

    /** Tells readers that what they have seen of this step and later ones no longer counts. */
    static byte[] start(double wallTime, long step) throws IOException {
        byte[] session = message(out -> out.writeEnum(SESSION_LOG_STATUS, STATUS_START));
        return event(wallTime, step, EVENT_SESSION_LOG, session);
    }

    static byte[] scalars(double wallTime, long step, Map<String, Double> values)
            throws IOException {
        byte[] summary =
                message(
                        out -> {
                            for (Map.Entry<String, Double> value : values.entrySet()) {
                                out.writeByteArray(SUMMARY_VALUE, scalar(value));
                            }
                        });
        return event(wallTime, step, EVENT_SUMMARY, summary);
    }

    private static byte[] scalar(Map.Entry<String, Double> value) throws IOException {
        return message(
                out -> {
                    out.writeString(VALUE_TAG, StepValues.tag(value.getKey()));
                    out.writeFloat(VALUE_SIMPLE_VALUE, value.getValue().floatValue());
                });
    }

    private static byte[] event(double wallTime, long step, int field, byte[] message)
            throws IOException {
        return message(
                out -> {
                    out.writeDouble(EVENT_WALL_TIME, wallTime);
                    out.writeInt64(EVENT_STEP, step);
                    out.writeByteArray(field, message);
                });
    }

    private static byte[] message(Fields fields) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        CodedOutputStream out = CodedOutputStream.newInstance(bytes);
        fields.writeTo(out);
        out.flush();
        return bytes.toByteArray();
    }
}
