package dev.logratio.cli.file;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * A file that is written whole or not at all: under a temporary name in its folder, until it takes
 * its place in one step. What a killed process left under such a name goes when another writes into
 * the folder.
 */
public final class WholeFile implements AutoCloseable {
    private final Path path;
    private final Path target;
    private Path temporary;
    private FileChannel channel;

    private WholeFile(Path path) {
        this.path = path;
        this.target = path.toAbsolutePath();
    }

    /**
     * Begins a file.
     *
     * @param path where it will be, in a folder that exists
     * @return the file, empty as yet; close it
     * @throws IOException if it cannot be made; the message names {@code path}
     */
    public static WholeFile create(Path path) throws IOException {
        WholeFile file = new WholeFile(path);
        Path folder = file.target.getParent();
        if (folder == null || !Files.isDirectory(folder)) {
            throw new FileSystemException(String.valueOf(folder), null, "no such directory");
        }
        if (Files.exists(file.target) && !Files.isRegularFile(file.target)) {
            throw new FileSystemException(path.toString(), null, "not a regular file");
        }
        try {
            while (!file.isMade(folder.resolve(TemporaryNames.next()))) {
                // Somebody has the name, or took the file for an abandoned one before it was
                // locked.
            }
        } catch (FileSystemException e) {
            throw file.named(e);
        }
        TemporaryNames.removeAbandoned(folder, file.temporary);
        return file;
    }

    private boolean isMade(Path name) throws IOException {
        FileChannel made;
        try {
            made = FileChannel.open(name, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        } catch (FileAlreadyExistsException e) {
            return false;
        }
        if (TemporaryNames.lock(made) && Files.exists(name)) {
            channel = made;
            temporary = name;
            return true;
        }
        made.close();
        Files.deleteIfExists(name);
        return false;
    }

    /**
     * Appends bytes.
     *
     * @param bytes all that remains of a buffer
     * @throws IOException if they cannot be written; the message names the file
     */
    public void write(ByteBuffer bytes) throws IOException {
        try {
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        } catch (IOException e) {
            throw new FileSystemException(path.toString(), null, String.valueOf(e.getMessage()));
        }
    }

    /**
     * Puts the file in its place, where it replaces one that was there.
     *
     * @throws IOException if that fails; the message names the file
     */
    public void finish() throws IOException {
        try {
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (FileSystemException e) {
            throw named(e);
        }
    }

    /** Ends the file: unless it was finished, nothing is left of it. */
    @Override
    public void close() throws IOException {
        try {
            Files.deleteIfExists(temporary);
        } finally {
            channel.close();
        }
    }

    /** The same failure, of the file that was asked for. */
    private FileSystemException named(FileSystemException failure) {
        return failure instanceof AccessDeniedException
                ? new AccessDeniedException(path.toString())
                : new FileSystemException(path.toString(), null, failure.getReason());
    }
}
