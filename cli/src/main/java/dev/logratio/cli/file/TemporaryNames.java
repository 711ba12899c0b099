package dev.logratio.cli.file;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.UserPrincipal;
import java.time.Instant;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Names of files that are being written: {@code .logratio-<process>-<number>.tmp}. Whoever writes
 * one holds a lock on it, which ends with the process at the latest; this tells an abandoned file
 * from one in use even where processes do not see each other, in containers.
 */
final class TemporaryNames {
    private static final Logger LOGGER = System.getLogger(TemporaryNames.class.getName());

    private static final String PREFIX = ".logratio-";
    private static final String SUFFIX = ".tmp";

    /** The number of the process alone would come again, in a container with each start. */
    private static final String PROCESS =
            PREFIX
                    + ProcessHandle.current().pid()
                    + "-"
                    + ProcessHandle.current()
                            .info()
                            .startInstant()
                            .map(Instant::toEpochMilli)
                            .orElse(0L)
                    + "-";

    private static final AtomicLong COUNT = new AtomicLong();

    /** Looking through a folder of many files takes long, and once for a process is enough. */
    private static final Set<Path> SWEPT = ConcurrentHashMap.newKeySet();

    private TemporaryNames() {}

    static String next() {
        return PROCESS + COUNT.incrementAndGet() + SUFFIX;
    }

    /**
     * Takes the lock on a new file.
     *
     * @return false if somebody is about to remove the file
     */
    static boolean lock(FileChannel channel) {
        try {
            return channel.tryLock() != null;
        } catch (IOException e) {
            LOGGER.log(
                    Level.DEBUG,
                    "this file system has no locks",
                    e); // so that nobody removes the file, either
            return true;
        }
    }

    /**
     * Removes the files that processes of this user left in a folder when they were killed.
     *
     * @param ours a file in it that this user has made
     */
    static void removeAbandoned(Path folder, Path ours) {
        if (!SWEPT.add(folder)) {
            return;
        }
        try (DirectoryStream<Path> files =
                Files.newDirectoryStream(folder, PREFIX + "*" + SUFFIX)) {
            UserPrincipal user = Files.getOwner(ours);
            for (Path file : files) {
                removeIfAbandoned(file, user);
            }
        } catch (IOException | DirectoryIteratorException e) {
            LOGGER.log(Level.DEBUG, "abandoned files stay in " + folder, e);
        }
    }

    private static void removeIfAbandoned(Path file, UserPrincipal user) {
        // Files of this process are left alone: to close one that another thread writes would end
        // its lock.
        if (file.getFileName().toString().startsWith(PROCESS)
                || !Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        try {
            if (!Files.getOwner(file, LinkOption.NOFOLLOW_LINKS).equals(user)) {
                return;
            }
            try (FileChannel channel =
                            FileChannel.open(
                                    file, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS);
                    FileLock lock = channel.tryLock()) {
                if (lock != null) {
                    Files.deleteIfExists(file);
                }
            }
        } catch (IOException e) {
            LOGGER.log(Level.DEBUG, "the file " + file + " stays", e);
        }
    }
}
