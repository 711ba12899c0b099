package dev.logratio.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.bindings.FolderTrust.Entry;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

class FolderTrustTest {
    private static final int ME = 1000;
    private static final Set<Integer> TRUSTED = Set.of(0, ME);

    @TempDir private Path temporary;

    /**
     * Owner and octal permissions of /a, /a/b and /a/b/c; the folder that is objected to, and why.
     */
    @ParameterizedTest
    @CsvSource(
            nullValues = "-",
            value = {
                "0 755,  0 755,     1000 700, -,      -",
                "0 755,  1000 755,  1000 755, -,      -",
                "0 755,  0 1777,    1000 700, -,      -",
                "0 755,  0 755,     0 755,    -,      -",
                "0 1777, 1000 1777, 1000 700, -,      -",
                "0 755,  0 1777,    77 700,   /a/b/c, 'belongs to another user, number 77'",
                "0 755,  77 755,    1000 700, /a/b,   'belongs to another user, number 77'",
                "77 755, 1000 700,  1000 700, /a,     'belongs to another user, number 77'",
                "0 755,  0 755,     1000 777, /a/b/c, can be written by other users",
                "0 755,  0 755,     1000 770, /a/b/c, can be written by other users",
                "0 755,  0 755,     0 1777,   /a/b/c, can be written by other users",
                "0 755,  1000 775,  1000 700, /a/b,   can be written by other users",
                "0 777,  1000 700,  1000 700, /a,     can be written by other users",
                "0 755,  -1 755,    1000 700, /a/b,   'belongs to another user, number 4294967295'",
            })
    void onesOwnFolder(String first, String second, String third, String folder, String reason) {
        assertEquals(
                Optional.ofNullable(folder).map(name -> name + " " + reason),
                FolderTrust.objectionToOwn(entries(first, second, third), TRUSTED));
    }

    /**
     * The same of a file /a/b/c that the user named: whoever owns it, not everybody may put another
     * there or beside it.
     */
    @ParameterizedTest
    @CsvSource(
            nullValues = "-",
            value = {
                "77 755, 77 775,  77 775,   -",
                "0 1777, 77 755,  77 755,   -",
                "0 755,  0 1777,  1000 700, /a/b",
                "0 755,  0 777,   1000 700, /a/b",
                "0 777,  0 755,   1000 700, /a",
                "0 755,  0 755,   1000 777, /a/b/c",
            })
    void aNamedFile(String first, String second, String third, String path) {
        assertEquals(
                Optional.ofNullable(path).map(name -> name + " can be written by everybody"),
                FolderTrust.objectionToNamed(entries(first, second, third)));
    }

    private static List<Entry> entries(String... ownersAndModes) {
        List<Entry> entries = new ArrayList<>();
        Path path = Path.of("/");
        for (String name : List.of("a", "b", "c")) {
            path = path.resolve(name);
            String[] words = ownersAndModes[entries.size()].split(" ");
            entries.add(new Entry(path, Integer.parseInt(words[0]), Integer.parseInt(words[1], 8)));
        }
        return entries;
    }

    @Test
    void attributesAreReadFromTheSystem() throws IOException {
        Path parent = Files.createDirectory(temporary.toRealPath().resolve("parent"));
        Path folder = Files.createDirectory(parent.resolve("folder"));
        FolderTrust.requireOwn(folder);
        assertTrue(FolderTrust.isOwn(folder));
        set(folder, "rwxrwx---");
        assertFalse(FolderTrust.isOwn(folder));
        assertEquals(
                folder + " can be written by other users",
                assertThrows(UntrustedFolderException.class, () -> FolderTrust.requireOwn(folder))
                        .getMessage());
        set(folder, "rwxr-xr-x");
        set(parent, "rwxrwxrwx");
        assertEquals(
                parent + " can be written by other users",
                assertThrows(UntrustedFolderException.class, () -> FolderTrust.requireOwn(folder))
                        .getMessage());
        assertEquals(
                parent + " can be written by everybody",
                assertThrows(
                                UntrustedFolderException.class,
                                () -> FolderTrust.requireNotShared(folder))
                        .getMessage());
        Files.setAttribute(parent, "unix:mode", 01777);
        FolderTrust.requireOwn(folder);
    }

    @Test
    void rootSeesOwnersToo() throws IOException {
        Path folder = Files.createDirectory(temporary.toRealPath().resolve("folder"));
        if ((int) Files.getAttribute(folder, "unix:uid") == 0) { // nobody else may give files away
            Files.setAttribute(folder, "unix:uid", 4321);
            assertFalse(FolderTrust.isOwn(folder));
            assertEquals(
                    folder + " belongs to another user, number 4321",
                    assertThrows(
                                    UntrustedFolderException.class,
                                    () -> FolderTrust.requireOwn(folder))
                            .getMessage());
        }
    }

    private static void set(Path folder, String permissions) throws IOException {
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString(permissions));
    }
}
