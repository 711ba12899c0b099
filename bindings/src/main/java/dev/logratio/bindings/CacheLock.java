package dev.logratio.bindings;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;

/**
 * Keeps processes, and class loaders of one process, from writing to the cache at once. It only
 * saves work: where it cannot be had in time, because somebody stopped holds it or something else
 * than a file is in its place, the cache is written without it.
 */
final class CacheLock implements AutoCloseable {
    private static final long POLL_MILLIS = 10;

    private final FileChannel channel;
    private final boolean held;

    private CacheLock(FileChannel channel, boolean held) {
        this.channel = channel;
        this.held = held;
    }

    /** Takes the lock, or gives up after a while. */
    static CacheLock take(Path file, Duration longest) {
        if (Files.exists(file, LinkOption.NOFOLLOW_LINKS)
                && !Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
            return new CacheLock(
                    null, false); // to open a pipe would wait for whoever reads from it
        }
        FileChannel channel = null;
        try {
            channel =
                    FileChannel.open(
                            file,
                            StandardOpenOption.CREATE,
                            StandardOpenOption.WRITE,
                            LinkOption.NOFOLLOW_LINKS);
            return new CacheLock(channel, waitFor(channel, longest));
        } catch (IOException e) {
            return new CacheLock(
                    channel, false); // the file system has no locks, or the thread is interrupted
        }
    }

    private static boolean waitFor(FileChannel channel, Duration longest) throws IOException {
        long end = System.nanoTime() + longest.toNanos();
        while (!tryLock(channel)) {
            if (System.nanoTime() >= end) {
                return false;
            }
            try {
                Thread.sleep(POLL_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return false;
            }
        }
        return true;
    }

    private static boolean tryLock(FileChannel channel) throws IOException {
        try {
            return channel.tryLock() != null;
        } catch (OverlappingFileLockException e) {
            return false; // another class loader of this JVM holds it
        }
    }

    /** Whether the lock was had: without it others may be writing, too. */
    boolean isHeld() {
        return held;
    }

    /** Releases the lock. */
    @Override
    public void close() throws IOException {
        if (channel != null) {
            channel.close();
        }
    }
}
