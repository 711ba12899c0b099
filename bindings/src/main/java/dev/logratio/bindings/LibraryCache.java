package dev.logratio.bindings;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermission;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;

/**
 * Puts a jar's libraries on disk, where the system's loader can open them.
 *
 * <p>They are shared by all processes of a user, in one folder for each set of libraries. A folder
 * appears there as a whole or not at all, and its content is compared with the jar's on every
 * start: a copy that somebody cut short or changed is replaced, never loaded. Neither is anything
 * loaded that another user than root could change between that look and the loading.
 */
final class LibraryCache {
    /**
     * How the names of folders begin that a process is still filling, or was when it was killed.
     */
    static final String UNFINISHED = "unfinished-";

    private static final Duration LONGEST_WAIT = Duration.ofSeconds(10);

    /**
     * Where the cache is.
     *
     * @param path absolute
     * @param named whether the user chose it, with XDG_CACHE_HOME
     */
    record Root(Path path, boolean named) {}

    private LibraryCache() {}

    /** The cache of this user; empty without a home, or if the locale cannot spell the path. */
    static Optional<Root> root() {
        return root(System.getenv("XDG_CACHE_HOME"), System.getProperty("user.home"));
    }

    /**
     * Relative paths do not count: the XDG specification says so, and a user without a home has
     * {@code ?} for one.
     */
    static Optional<Root> root(String xdgCacheHome, String userHome) {
        try {
            if (xdgCacheHome != null && Path.of(xdgCacheHome).isAbsolute()) {
                return Optional.of(new Root(Path.of(xdgCacheHome, "logratio"), true));
            }
            return Optional.ofNullable(userHome)
                    .map(home -> Path.of(home, ".cache", "logratio"))
                    .filter(Path::isAbsolute)
                    .map(path -> new Root(path, false));
        } catch (InvalidPathException e) {
            return Optional.empty();
        }
    }

    /**
     * The folder in {@code root} that holds the libraries, made if it is not there yet.
     *
     * @return its path without symbolic links
     * @throws UntrustedFolderException if others could change what is in {@code root}
     * @throws NoExecutionException if nothing in {@code root} can be loaded
     * @throws IOException if {@code root} cannot be written to
     */
    static Path install(NativeBundle bundle, Path root) throws IOException {
        return install(bundle, root, LONGEST_WAIT);
    }

    static Path install(NativeBundle bundle, Path root, Duration longestWait) throws IOException {
        Path cache = prepare(root);
        Path folder = cache.resolve(bundle.hash());
        if (!holds(folder, bundle)) {
            try (CacheLock lock = CacheLock.take(cache.resolve("lock"), longestWait)) {
                if (!holds(folder, bundle)) {
                    replace(folder, bundle, lock.isHeld());
                }
            }
        }
        PrivateFolder.requireExecution(folder, bundle.libraries().keySet());
        return folder;
    }

    /**
     * Makes a cache's folder if it is not there, and resolves symbolic links; only a folder of this
     * user's own will do.
     */
    static Path prepare(Path root) throws IOException {
        Path existing = root;
        while (!Files.exists(existing)) {
            existing = existing.getParent();
        }
        if (!existing.equals(root)) {
            FolderTrust.requireOwnBelow(existing.toRealPath());
            Files.createDirectories(root, PrivateFolder.FOR_THIS_USER_ALONE);
        }
        Path cache = root.toRealPath();
        FolderTrust.requireOwn(cache);
        return cache;
    }

    /**
     * Puts a good copy in place. The lock is what makes it safe to remove a bad one, and what
     * others have not finished: nobody else can have just written it.
     */
    private static void replace(Path folder, NativeBundle bundle, boolean alone)
            throws IOException {
        Path cache = folder.getParent();
        if (alone) {
            removeUnfinished(cache);
        }
        Path fresh = Files.createTempDirectory(cache, UNFINISHED);
        PrivateFolder.write(bundle.libraries(), fresh);
        if (Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
            Files.move(folder, cache.resolve(UNFINISHED + "replaced-" + fresh.getFileName()));
        }
        try {
            Files.move(fresh, folder, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            if (!holds(folder, bundle)) {
                throw e;
            } // without the lock, another process was faster
        }
        if (alone) {
            removeUnfinished(cache);
        }
    }

    private static boolean holds(Path folder, NativeBundle bundle) throws IOException {
        try {
            if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)
                    || !FolderTrust.isOwn(folder)) {
                return false;
            }
            for (Map.Entry<String, byte[]> library : bundle.libraries().entrySet()) {
                Path file = folder.resolve(library.getKey());
                if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
                        || !FolderTrust.isOwn(file)
                        || !Files.getPosixFilePermissions(file)
                                .contains(PosixFilePermission.OWNER_EXECUTE)
                        || Files.size(file) != library.getValue().length
                        || !Arrays.equals(Files.readAllBytes(file), library.getValue())) {
                    return false;
                }
            }
            return true;
        } catch (NoSuchFileException e) {
            return false; // another process is replacing it right now
        }
    }

    /** Removes what a process that was killed, or the replacing of a bad copy, left behind. */
    private static void removeUnfinished(Path cache) throws IOException {
        try (DirectoryStream<Path> leftovers = Files.newDirectoryStream(cache, UNFINISHED + "*")) {
            for (Path leftover : leftovers) {
                PrivateFolder.deleteTree(leftover);
            }
        }
    }
}
