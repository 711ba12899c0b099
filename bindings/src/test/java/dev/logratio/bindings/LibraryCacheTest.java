package dev.logratio.bindings;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LibraryCacheTest {
    private static final FileTime LONG_AGO = FileTime.fromMillis(1_000_000_000_000L);

    @TempDir
    private Path temporary;

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
        assertEquals(root.resolve("abcdef"), folder);
        assertHoldsTheBundle(folder);
        assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(folder)));
        assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(root)));
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
    @ValueSource(strings = {"changed", "cut short", "removed", "a folder", "a link"})
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
                Files.createSymbolicLink(library, Files.write(temporary.resolve("elsewhere"), content));
            }
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
    void theFolderOfOneProcessIsPrivate() throws IOException {
        Path first = LibraryCache.installForThisProcess(bundle);
        Path second = LibraryCache.installForThisProcess(bundle);
        assertFalse(first.equals(second));
        assertHoldsTheBundle(first);
        assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(first)));
    }

    @Test
    void cacheFoldersFollowTheXdgSpecification() {
        assertEquals(Optional.of(Path.of("/x/logratio")), NativeLibrary.cacheRoot("/x", "/home/a"));
        assertEquals(Optional.of(Path.of("/home/a/.cache/logratio")), NativeLibrary.cacheRoot(null, "/home/a"));
        assertEquals(Optional.of(Path.of("/home/a/.cache/logratio")), NativeLibrary.cacheRoot("relative", "/home/a"));
        assertEquals(Optional.of(Path.of("/home/a/.cache/logratio")), NativeLibrary.cacheRoot("", "/home/a"));
        assertEquals(Optional.empty(), NativeLibrary.cacheRoot(null, "?"));
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
            assertArrayEquals(bundle.libraries().get(name), Files.readAllBytes(folder.resolve(name)));
        }
    }

    private static Set<String> namesIn(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).collect(Collectors.toSet());
        }
    }
}
