package dev.logratio.trainers.metrics;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * The framing of TensorFlow's record files: length, its checksum, the data, their checksum, all in
 * little endian. Source: TensorFlow's {@code lib/io/record_writer.h} and {@code lib/hash/crc32c.h}.
 */
final class TfRecord {
    private static final int MASK_DELTA = 0xa282ead8;

    private TfRecord() {}

    static byte[] of(byte[] data) {
        ByteBuffer record =
                ByteBuffer.allocate(Long.BYTES + Integer.BYTES + data.length + Integer.BYTES)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(data.length);
        record.putInt(maskedChecksum(record.array(), Long.BYTES));
        return record.put(data).putInt(maskedChecksum(data, data.length)).array();
    }

    /** CRC-32C, rotated and shifted, so that data which hold checksums have good ones too. */
    private static int maskedChecksum(byte[] bytes, int count) {
        CRC32C checksum = new CRC32C();
        checksum.update(bytes, 0, count);
        return Integer.rotateRight((int) checksum.getValue(), 15) + MASK_DELTA;
    }
}
