package dev.logratio.bindings;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.bindings.LibraryCache.Root;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

class LibraryCacheTest {
    private static final FileTime LONG_AGO = FileTime.fromMillis(1_000_000_000_000L);

    @TempDir private Path temporary;

    private Path root;
    private NativeBundle bundle;

    @BeforeEach
    void makeBundle() {
        root = temporary.resolve("cache").resolve("logratio");
        Map<String, byte[]> libraries = new LinkedHashMap<>();
        libraries.put("liblogratio.so", new byte[] {1, 2, 3, 4});
        libraries.put("liblogratio_other.so", new byte[] {5, 6});
        bundle = new NativeBundle("abcdef", libraries);
    }

    @Test
    void copiesAllLibrariesIntoAPrivateFolderUnderTheirHash() throws IOException {
        Path folder = LibraryCache.install(bundle, root);
        assertEquals(root.toRealPath().resolve("abcdef"), folder);
        assertHoldsTheBundle(folder);
        assertEquals(
                "rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(folder)));
        assertEquals(
                "rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(root)));
        assertEquals(Set.of("abcdef", "lock"), namesIn(root));
    }

    @Test
    void aGoodCopyStaysAsItIs() throws IOException {
        Path library = LibraryCache.install(bundle, root).resolve("liblogratio.so");
        Files.setLastModifiedTime(library, LONG_AGO);
        LibraryCache.install(bundle, root);
        assertEquals(LONG_AGO, Files.getLastModifiedTime(library));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "changed",
                "cut short",
                "removed",
                "a folder",
                "a link",
                "writable by others",
                "not executable"
            })
    void aBadCopyIsReplaced(String damage) throws IOException {
        Path library = LibraryCache.install(bundle, root).resolve("liblogratio.so");
        byte[] content = bundle.libraries().get("liblogratio.so");
        switch (damage) {
            case "changed" -> Files.write(library, new byte[] {1, 2, 3, 5});
            case "cut short" -> Files.write(library, new byte[] {1, 2});
            case "removed" -> Files.delete(library);
            case "a folder" -> {
                Files.delete(library);
                Files.createDirectory(library);
            }
            case "a link" -> {
                Files.delete(library);
                Files.createSymbolicLink(
                        library, Files.write(temporary.resolve("elsewhere"), content));
            }
            case "writable by others" ->
                    Files.setPosixFilePermissions(
                            library, PosixFilePermissions.fromString("rwxrwxrwx"));
            case "not executable" ->
                    Files.setPosixFilePermissions(
                            library, PosixFilePermissions.fromString("rw-------"));
            default -> throw new AssertionError(damage);
        }
        assertHoldsTheBundle(LibraryCache.install(bundle, root));
        assertEquals(Set.of("abcdef", "lock"), namesIn(root));
    }

    @Test
    void whatAKilledProcessLeftIsRemoved() throws IOException {
        Files.createDirectories(root.resolve("unfinished-123"));
        Files.write(root.resolve("unfinished-123").resolve("liblogratio.so"), new byte[] {1});
        LibraryCache.install(bundle, root);
        assertEquals(Set.of("abcdef", "lock"), namesIn(root));
    }

    @Test
    void aFileInThePlaceOfTheCacheIsAnIoException() throws IOException {
        Files.createFile(temporary.resolve("cache"));
        assertThrows(IOException.class, () -> LibraryCache.install(bundle, root));
    }

    @Test
    void aFolderThatOthersCanWriteIsReplaced() throws IOException {
        Path folder = LibraryCache.install(bundle, root);
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxrwxrwx"));
        assertHoldsTheBundle(LibraryCache.install(bundle, root));
        assertEquals(
                "rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(folder)));
    }

    @Test
    void nothingIsMadeInAFolderThatOthersCanWrite() throws IOException {
        Path shared = Files.createDirectory(root.getParent());
        Files.setPosixFilePermissions(shared, PosixFilePermissions.fromString("rwxrwxrwx"));
        UntrustedFolderException e =
                assertThrows(
                        UntrustedFolderException.class, () -> LibraryCache.install(bundle, root));
        assertEquals(shared.toRealPath() + " can be written by other users", e.getMessage());
        assertEquals(Set.of(), namesIn(shared));
        Files.setAttribute(shared, "unix:mode", 01777); // sticky, as /tmp is
        assertHoldsTheBundle(LibraryCache.install(bundle, root));
    }

    @Test
    void symbolicLinksAreJudgedByWhereTheyLead() throws IOException {
        Path shared = Files.createDirectory(temporary.resolve("shared"));
        Files.createSymbolicLink(root.getParent(), shared);
        assertEquals(
                shared.toRealPath().resolve("logratio").resolve("abcdef"),
                LibraryCache.install(bundle, root));
        Files.setPosixFilePermissions(shared, PosixFilePermissions.fromString("rwxrwxrwx"));
        assertThrows(UntrustedFolderException.class, () -> LibraryCache.install(bundle, root));
    }

    /**
     * A stopped process holds the lock, or something else has its name: then it is waited for a
     * while, or not at all.
     */
    @ParameterizedTest
    @ValueSource(strings = {"held", "a folder", "a pipe", "a socket", "a link to nowhere"})
    void aLockThatCannotBeHadIsDoneWithout(String what) throws Exception {
        Path lock = Files.createDirectories(root).resolve("lock");
        Duration wait = Duration.ofMillis(100);
        switch (what) {
            case "held" -> {
                try (FileChannel channel =
                                FileChannel.open(
                                        lock, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                        var _ = channel.lock()) {
                    long start = System.nanoTime();
                    assertHoldsTheBundle(LibraryCache.install(bundle, root, wait));
                    assertTrue(System.nanoTime() - start >= wait.toNanos());
                }
            }
            case "a socket" -> {
                try (ServerSocketChannel socket =
                        ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
                    socket.bind(UnixDomainSocketAddress.of(lock));
                    assertHoldsTheBundle(LibraryCache.install(bundle, root, wait));
                }
            }
            case "a folder" -> Files.createDirectory(lock);
            case "a pipe" ->
                    assertEquals(
                            0, new ProcessBuilder("mkfifo", lock.toString()).start().waitFor());
            case "a link to nowhere" ->
                    Files.createSymbolicLink(lock, temporary.resolve("nowhere").resolve("lock"));
            default -> throw new AssertionError(what);
        }
        assertHoldsTheBundle(LibraryCache.install(bundle, root, wait));
        assertEquals(Set.of("abcdef", "lock"), namesIn(root));
    }

    /** Without the lock nothing that others may be at work with is removed. */
    @Test
    void withoutTheLockUnfinishedCopiesStay() throws IOException {
        Files.createDirectories(root.resolve("lock"));
        Files.createDirectories(root.resolve("unfinished-123"));
        assertHoldsTheBundle(LibraryCache.install(bundle, root, Duration.ZERO));
        assertEquals(Set.of("abcdef", "lock", "unfinished-123"), namesIn(root));
    }

    @Test
    void theFolderOfOneProcessIsPrivate() throws IOException {
        Path gone;
        try (PrivateFolder first = PrivateFolder.of(bundle.libraries());
                PrivateFolder second = PrivateFolder.of(bundle.libraries())) {
            assertNotEquals(first.path(), second.path());
            assertHoldsTheBundle(first.path());
            assertEquals(
                    "rwx------",
                    PosixFilePermissions.toString(Files.getPosixFilePermissions(first.path())));
            gone = first.path();
        }
        assertFalse(Files.exists(gone));
    }

    /**
     * On a file system that is mounted noexec, the system says of every file what it says here of
     * one without the permission.
     */
    @Test
    void whereNothingCanBeExecutedIsNamed() throws IOException {
        Path folder = LibraryCache.install(bundle, root);
        PrivateFolder.requireExecution(folder, bundle.libraries().keySet());
        Files.setPosixFilePermissions(
                folder.resolve("liblogratio_other.so"),
                PosixFilePermissions.fromString("rw-------"));
        NoExecutionException e =
                assertThrows(
                        NoExecutionException.class,
                        () -> PrivateFolder.requireExecution(folder, bundle.libraries().keySet()));
        assertEquals(folder + " is on a file system that is mounted noexec", e.getMessage());
    }

    @Test
    void cacheFoldersFollowTheXdgSpecification() {
        Optional<Root> atHome = Optional.of(new Root(Path.of("/home/a/.cache/logratio"), false));
        assertEquals(
                Optional.of(new Root(Path.of("/x/logratio"), true)),
                LibraryCache.root("/x", "/home/a"));
        assertEquals(atHome, LibraryCache.root(null, "/home/a"));
        assertEquals(atHome, LibraryCache.root("relative", "/home/a"));
        assertEquals(atHome, LibraryCache.root("", "/home/a"));
        assertEquals(Optional.empty(), LibraryCache.root(null, "?"));
        assertEquals(Optional.empty(), LibraryCache.root("/a\0", null)); // a path that cannot be
    }

    @Test
    void platformsAreNamedAlike() {
        assertEquals("linux-x86_64", Platform.name("Linux", "amd64"));
        assertEquals("linux-aarch64", Platform.name("Linux", "aarch64"));
        assertEquals("windows-x86_64", Platform.name("Windows 11", "amd64"));
        assertEquals("mac-aarch64", Platform.name("Mac OS X", "aarch64"));
    }

    private void assertHoldsTheBundle(Path folder) throws IOException {
        assertEquals(bundle.libraries().keySet(), namesIn(folder));
        for (String name : List.of("liblogratio.so", "liblogratio_other.so")) {
            assertTrue(Files.isRegularFile(folder.resolve(name)));
            assertArrayEquals(
                    bundle.libraries().get(name), Files.readAllBytes(folder.resolve(name)));
        }
    }

    private static Set<String> namesIn(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).collect(Collectors.toSet());
        }
    }
}
