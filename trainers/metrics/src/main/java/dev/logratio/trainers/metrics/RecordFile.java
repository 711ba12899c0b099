package dev.logratio.trainers.metrics;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;

/**
 * A file that grows by whole records. Each is handed to the operating system before the call
 * returns, so that the end of the process loses at most the record that it is in; closing waits for
 * the disk.
 */
final class RecordFile implements AutoCloseable {
    private final FileChannel channel;

    private RecordFile(FileChannel channel) {
        this.channel = channel;
    }

    /**
     * Opens a file at its end, and makes its folder where there is none.
     *
     * @throws IOException if that is impossible; the message is a sentence that names the file
     */
    static RecordFile open(Path file, OpenOption... options) throws IOException {
        try {
            Path folder = file.toAbsolutePath().getParent();
            if (folder != null && !Files.isDirectory(folder)) {
                Files.createDirectories(folder);
            }
            FileChannel channel = FileChannel.open(file, options);
            channel.position(channel.size());
            return new RecordFile(channel);
        } catch (IOException e) {
            throw new IOException(file + " cannot be opened for writing: " + reason(e), e);
        }
    }

    /** What a file system says is wrong, which for some faults is the exception's name alone. */
    static String reason(IOException e) {
        if (e instanceof FileSystemException fault) {
            String reason = fault.getReason();
            return fault.getFile()
                    + ": "
                    + (reason == null ? fault.getClass().getSimpleName() : reason);
        }
        return e.getMessage();
    }

    long size() throws IOException {
        return channel.size();
    }

    /** Reads the byte at an offset. */
    byte at(long offset) throws IOException {
        ByteBuffer one = ByteBuffer.allocate(1);
        channel.read(one, offset);
        return one.get(0);
    }

    /** Appends a record, the whole of it or nothing. */
    void append(byte[] record) throws IOException {
        long end = channel.position();
        try {
            ByteBuffer rest = ByteBuffer.wrap(record);
            while (rest.hasRemaining()) {
                channel.write(rest);
            }
        } catch (IOException e) {
            try {
                channel.truncate(end);
            } catch (IOException second) {
                e.addSuppressed(second);
            }
            throw e;
        }
    }

    @Override
    public void close() throws IOException {
        try (channel) {
            channel.force(true);
        }
    }
}
