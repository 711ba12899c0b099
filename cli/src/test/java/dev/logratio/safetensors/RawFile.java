package dev.logratio.safetensors;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Files byte by byte, right or wrong. */
public final class RawFile {
    private RawFile() {}

    /** A file with this header and as many zeros of data. */
    public static byte[] of(String header, int dataBytes) {
        return of(header.getBytes(StandardCharsets.UTF_8), dataBytes);
    }

    /** A file with this header, which need not be text, and as many zeros of data. */
    public static byte[] of(byte[] header, int dataBytes) {
        return withLength(header.length, header, dataBytes);
    }

    /** A file that gives its header a length that may be wrong. */
    public static byte[] withLength(long length, byte[] header, int dataBytes) {
        return ByteBuffer.allocate(Long.BYTES + header.length + dataBytes)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(length)
                .put(header)
                .array();
    }

    /** A header with one tensor {@code x}. */
    public static String header(String dtype, String shape, String offsets) {
        return "{\"x\":{\"dtype\":\""
                + dtype
                + "\",\"shape\":"
                + shape
                + ",\"data_offsets\":"
                + offsets
                + "}}";
    }
}
