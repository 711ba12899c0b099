package dev.logratio.bindings;

import java.io.File;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Puts a jar's libraries on disk, where the system's loader can open them.
 *
 * <p>They are shared by all processes of a user, in one folder for each set of libraries. A folder appears there as a whole
 * or not at all, and its content is compared with the jar's on every start: a copy that somebody cut short or changed is
 * replaced, never loaded.
 */
final class LibraryCache {
    private static final String UNFINISHED = "unfinished-";

    private LibraryCache() {}

    /**
     * The folder in {@code root} that holds the libraries, made if it is not there yet.
     *
     * @throws IOException if {@code root} cannot be written to
     */
    static Path install(NativeBundle bundle, Path root) throws IOException {
        Path folder = root.resolve(bundle.hash());
        if (holds(folder, bundle)) {
            return folder;
        }
        Files.createDirectories(root,
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        // The lock is what makes it safe to remove a bad copy: nobody else can have just replaced it.
        try (FileChannel channel = FileChannel.open(root.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                var _ = channel.lock()) {
            if (!holds(folder, bundle)) {
                removeUnfinished(root);
                Path fresh = Files.createTempDirectory(root, UNFINISHED);
                write(bundle, fresh);
                if (Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
                    Files.move(folder, root.resolve(UNFINISHED + "replaced-" + fresh.getFileName()));
                }
                Files.move(fresh, folder, StandardCopyOption.ATOMIC_MOVE);
                removeUnfinished(root);
            }
        } catch (OverlappingFileLockException e) {
            throw new IOException("another class loader of this JVM is copying to " + root, e);
        }
        return folder;
    }

    /** A folder that only this process uses, deleted when it ends. */
    static Path installForThisProcess(NativeBundle bundle) throws IOException {
        Path folder = Files.createTempDirectory("logratio-");
        folder.toFile().deleteOnExit();
        for (File file : write(bundle, folder)) {
            file.deleteOnExit();
        }
        return folder;
    }

    private static boolean holds(Path folder, NativeBundle bundle) throws IOException {
        try {
            for (Map.Entry<String, byte[]> library : bundle.libraries().entrySet()) {
                Path file = folder.resolve(library.getKey());
                if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
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

    private static List<File> write(NativeBundle bundle, Path folder) throws IOException {
        List<File> files = new ArrayList<>();
        for (Map.Entry<String, byte[]> library : bundle.libraries().entrySet()) {
            files.add(Files.write(folder.resolve(library.getKey()), library.getValue()).toFile());
        }
        return files;
    }

    /** Removes what a process that was killed, or the replacing of a bad copy, left behind. */
    private static void removeUnfinished(Path root) throws IOException {
        try (DirectoryStream<Path> leftovers = Files.newDirectoryStream(root, UNFINISHED + "*")) {
            for (Path leftover : leftovers) {
                deleteTree(leftover);
            }
        }
    }

    private static void deleteTree(Path root) throws IOException {
        List<Path> deepestFirst;
        try (Stream<Path> paths = Files.walk(root)) {
            deepestFirst = paths.sorted(Comparator.reverseOrder()).toList();
        }
        for (Path path : deepestFirst) {
            Files.delete(path);
        }
    }
}
