package dev.logratio.bindings;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * A new folder that only this process uses, under a name that nobody can guess, with libraries to
 * load from it.
 */
public final class PrivateFolder implements AutoCloseable {
    /**
     * What folders and files of ours may be used for. Libraries can be executed, so that the system
     * tells where that is forbidden.
     */
    static final FileAttribute<Set<PosixFilePermission>> FOR_THIS_USER_ALONE =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));

    private final Path path;

    private PrivateFolder(Path path) {
        this.path = path;
    }

    /**
     * Makes a folder in {@code java.io.tmpdir} or, where nothing can be loaded from there, in the
     * library cache.
     *
     * @param libraries file name to content
     * @return the folder; close it, or have it deleted on exit
     * @throws IOException if neither can be written and loaded from, or others could change what is
     *     there
     */
    public static PrivateFolder of(Map<String, byte[]> libraries) throws IOException {
        try {
            return inTemporaryFolder(libraries);
        } catch (IOException e) {
            Path cache = LibraryCache.root().orElseThrow(() -> e).path();
            return holding(
                    libraries,
                    Files.createTempDirectory(
                            LibraryCache.prepare(cache), LibraryCache.UNFINISHED));
        }
    }

    static PrivateFolder inTemporaryFolder(Map<String, byte[]> libraries) throws IOException {
        return holding(libraries, newTemporaryFolder());
    }

    private static Path newTemporaryFolder() throws IOException {
        String name = System.getProperty("java.io.tmpdir");
        try {
            return Files.createTempDirectory(Path.of(name), "logratio-");
        } catch (InvalidPathException e) {
            throw new IOException("the locale cannot spell java.io.tmpdir, which is " + name, e);
        } catch (IOException e) {
            throw new IOException("no folder can be made in java.io.tmpdir, which is " + name, e);
        }
    }

    private static PrivateFolder holding(Map<String, byte[]> libraries, Path created)
            throws IOException {
        PrivateFolder folder = new PrivateFolder(created.toRealPath());
        try {
            FolderTrust.requireOwn(folder.path);
            write(libraries, folder.path);
            requireExecution(folder.path, libraries.keySet());
            return folder;
        } catch (IOException e) {
            folder.close();
            throw e;
        }
    }

    /** Writes libraries to a folder that holds none of them. */
    static void write(Map<String, byte[]> libraries, Path folder) throws IOException {
        for (Map.Entry<String, byte[]> library : libraries.entrySet()) {
            Path file = Files.createFile(folder.resolve(library.getKey()), FOR_THIS_USER_ALONE);
            Files.write(file, library.getValue());
        }
    }

    /** Checks that libraries can be loaded from a folder. */
    static void requireExecution(Path folder, Set<String> libraries) throws NoExecutionException {
        if (!libraries.stream().allMatch(name -> Files.isExecutable(folder.resolve(name)))) {
            throw new NoExecutionException(folder);
        }
    }

    /**
     * Where the folder is.
     *
     * @return its absolute path, without symbolic links
     */
    public Path path() {
        return path;
    }

    /** Deletes the folder when the process ends. */
    void deleteOnExit() throws IOException {
        path.toFile().deleteOnExit();
        try (Stream<Path> files = Files.list(path)) {
            files.forEach(file -> file.toFile().deleteOnExit());
        }
    }

    /** Deletes the folder now; a library that is loaded stays so. */
    @Override
    public void close() throws IOException {
        deleteTree(path);
    }

    static void deleteTree(Path root) throws IOException {
        List<Path> deepestFirst;
        try (Stream<Path> paths = Files.walk(root)) {
            deepestFirst = paths.sorted(Comparator.reverseOrder()).toList();
        }
        for (Path path : deepestFirst) {
            Files.delete(path);
        }
    }
}
