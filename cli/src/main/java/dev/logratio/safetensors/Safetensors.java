package dev.logratio.safetensors;

import dev.logratio.Tensor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.Objects;

/**
 * Reads and writes safetensors files.
 *
 * @since 0.1.0
 */
public final class Safetensors {
    private Safetensors() {}

    /**
     * Opens a file and checks all of its header. A tensor's bytes are read when it is first asked
     * for, into memory that the file keeps until it is closed.
     *
     * @param path a regular file
     * @return the open file; close it
     * @throws SafetensorsException if the file is not valid: truncated, malformed JSON or UTF-8, a
     *     name twice, an unknown dtype, sizes that do not match, or data that the tensors do not
     *     cover without gap, overlap or rest
     * @throws IOException if it cannot be read
     */
    public static SafetensorsFile read(Path path) throws IOException {
        return open(path, FileBytes.Read::new);
    }

    /**
     * Maps a file into memory, as a way to open one that is larger than memory, or of which little
     * is used. Nothing is read before its elements are. <b>Another process that cuts the file short
     * while it is mapped ends this one:</b> the system answers an access to bytes that are no
     * longer there by a signal, SIGBUS, which no code of ours can handle. All else is as with
     * {@link #read}.
     *
     * @param path a regular file that no other process shortens until this one has closed it
     * @return the open file; close it
     * @throws SafetensorsException if the file is not valid, as with {@link #read}
     * @throws IOException if it cannot be read
     */
    public static SafetensorsFile map(Path path) throws IOException {
        return open(path, FileBytes.Mapped::new);
    }

    /** How the bytes after the header come into memory. */
    private interface Access {
        FileBytes of(FileChannel channel, long begin, long bytes) throws IOException;
    }

    private static SafetensorsFile open(Path path, Access access) throws IOException {
        if (!Files.exists(Objects.requireNonNull(path, "path"))) {
            throw new NoSuchFileException(path.toString());
        }
        if (!Files.isRegularFile(path)) {
            throw new SafetensorsException("not a regular file, expected a safetensors file");
        }
        FileChannel channel = FileChannel.open(path, StandardOpenOption.READ);
        try {
            long headerBytes = headerLength(channel);
            byte[] json = new byte[(int) headerBytes];
            FileBytes.readFully(channel, ByteBuffer.wrap(json), Long.BYTES);
            long begin = Long.BYTES + headerBytes;
            long bytes = channel.size() - begin;
            Header header = Header.parse(json, bytes);
            return new SafetensorsFile(access.of(channel, begin, bytes), header);
        } catch (Throwable e) {
            channel.close();
            throw e;
        }
    }

    /**
     * Writes a file whole or not at all: into a temporary one beside it, {@code .logratio-*.tmp},
     * which then takes its place in one step. Temporary files that killed processes of this user
     * left in the folder are removed.
     *
     * @param path the file, in a folder that exists
     * @param metadata the {@code __metadata__}, left out if empty
     * @param tensors by name; contiguous or not
     * @throws IOException if it cannot be written; a file that was there before is then unchanged
     * @throws IllegalArgumentException if a tensor is named {@code __metadata__}
     */
    public static void write(Path path, Map<String, String> metadata, Map<String, Tensor> tensors)
            throws IOException {
        Objects.requireNonNull(path, "path");
        Objects.requireNonNull(metadata, "metadata");
        Objects.requireNonNull(tensors, "tensors");
        Writer.write(path, metadata, tensors);
    }

    private static long headerLength(FileChannel channel) throws IOException {
        if (channel.size() < Long.BYTES) {
            throw new SafetensorsException(
                    "the file has "
                            + channel.size()
                            + " bytes, expected a header length of 8 bytes and a header");
        }
        ByteBuffer bytes = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        FileBytes.readFully(channel, bytes, 0);
        long length = bytes.getLong(0);
        long rest = channel.size() - Long.BYTES;
        if (length < 0 || length > rest) {
            throw new SafetensorsException(
                    "the header length is "
                            + Long.toUnsignedString(length)
                            + " bytes, but only "
                            + rest
                            + " follow: the file is truncated or not safetensors");
        }
        if (length > Header.MAX_BYTES) {
            throw new SafetensorsException(
                    "the header length is "
                            + length
                            + " bytes, expected at most "
                            + Header.MAX_BYTES);
        }
        return length;
    }
}
