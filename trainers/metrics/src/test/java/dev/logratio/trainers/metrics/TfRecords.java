package dev.logratio.trainers.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A reader of record files with a checksum of its own, bit by bit. */
final class TfRecords {
    private TfRecords() {}

    static List<byte[]> read(Path file) throws IOException {
        ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        List<byte[]> records = new ArrayList<>();
        while (in.hasRemaining()) {
            byte[] length = new byte[8];
            in.get(in.position(), length);
            byte[] data = new byte[Math.toIntExact(in.getLong())];
            assertEquals(masked(length), in.getInt(), "checksum of the length");
            in.get(data);
            assertEquals(masked(data), in.getInt(), "checksum of the data");
            records.add(data);
        }
        return records;
    }

    private static int masked(byte[] bytes) {
        int crc = crc32c(bytes);
        return ((crc >>> 15) | (crc << 17)) + 0xa282ead8;
    }

    /** RFC 3720, appendix B.4: the reflected polynomial 0x1EDC6F41. */
    static int crc32c(byte[] bytes) {
        int crc = -1;
        for (byte value : bytes) {
            crc ^= value & 0xff;
            for (int bit = 0; bit < 8; bit++) {
                crc = (crc >>> 1) ^ ((crc & 1) == 0 ? 0 : 0x82f63b78);
            }
        }
        return ~crc;
    }

    /** RFC 3720's own example: 32 bytes of zeros. */
    static void checkAgainstTheStandard() {
        assertEquals(0x8a9136aa, crc32c(new byte[32]));
        byte[] ones = new byte[32];
        Arrays.fill(ones, (byte) 0xff);
        assertEquals(0x62a8ab43, crc32c(ones));
    }
}
