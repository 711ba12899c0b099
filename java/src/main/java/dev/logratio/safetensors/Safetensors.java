package dev.logratio.safetensors;

import dev.logratio.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;

/** Reads and writes safetensors files. */
public final class Safetensors {
    private static final ValueLayout.OfLong LENGTH =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Safetensors() {}

    /**
     * Maps a file and checks all of its header.
     *
     * @param path a regular file
     * @return the open file; close it
     * @throws SafetensorsException if the file is not valid: truncated, malformed JSON or UTF-8, a name twice, an unknown dtype,
     *     sizes that do not match, or data that the tensors do not cover without gap, overlap or rest
     * @throws IOException if it cannot be read
     */
    public static SafetensorsFile read(Path path) throws IOException {
        if (!Files.exists(path)) {
            throw new NoSuchFileException(path.toString());
        }
        if (!Files.isRegularFile(path)) {
            throw new SafetensorsException("not a regular file, expected a safetensors file");
        }
        Arena arena = Arena.ofShared();
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            long fileBytes = channel.size();
            if (fileBytes < LENGTH.byteSize()) {
                throw new SafetensorsException(
                        "the file has " + fileBytes + " bytes, expected a header length of 8 bytes and a header");
            }
            MemorySegment file = channel.map(FileChannel.MapMode.READ_ONLY, 0, fileBytes, arena);
            long headerBytes = headerLength(file);
            MemorySegment data = file.asSlice(LENGTH.byteSize() + headerBytes);
            byte[] json = file.asSlice(LENGTH.byteSize(), headerBytes).toArray(ValueLayout.JAVA_BYTE);
            return new SafetensorsFile(arena, data, Header.parse(json, data.byteSize()));
        } catch (Throwable e) {
            arena.close();
            throw e;
        }
    }

    /**
     * Writes a file whole or not at all: into a temporary one beside it, which then takes its place in one step.
     *
     * @param path the file, in a folder that exists
     * @param metadata the {@code __metadata__}, left out if empty
     * @param tensors by name; contiguous or not
     * @throws IOException if it cannot be written; a file that was there before is then unchanged
     * @throws IllegalArgumentException if a tensor is named {@code __metadata__}
     */
    public static void write(Path path, Map<String, String> metadata, Map<String, Tensor> tensors) throws IOException {
        Writer.write(path, metadata, tensors);
    }

    private static long headerLength(MemorySegment file) throws SafetensorsException {
        long length = file.get(LENGTH, 0);
        long rest = file.byteSize() - LENGTH.byteSize();
        if (length < 0 || length > rest) {
            throw new SafetensorsException("the header length is " + Long.toUnsignedString(length) + " bytes, but only "
                    + rest + " follow: the file is truncated or not safetensors");
        }
        if (length > Header.MAX_BYTES) {
            throw new SafetensorsException(
                    "the header length is " + length + " bytes, expected at most " + Header.MAX_BYTES);
        }
        return length;
    }
}
