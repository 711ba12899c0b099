package dev.logratio.bindings;

import static dev.logratio.bindings.LoadingJvm.lines;
import static dev.logratio.bindings.LoadingJvm.onClassPath;
import static dev.logratio.bindings.LoadingJvm.output;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** Where the jar's library is copied to, and what happens where it cannot be. */
class LibraryCopyTest {
    @TempDir private Path temporary;

    private LoadingJvm jvm;

    @BeforeEach
    void nameJvm() {
        jvm = new LoadingJvm(temporary);
    }

    @Test
    void replacesADamagedCopy() throws Exception {
        jvm.run(onClassPath());
        Files.write(jvm.cached(), new byte[] {1, 2, 3});
        assertEquals("loaded " + jvm.cached(), jvm.run(onClassPath()));
        assertTrue(Files.size(jvm.cached()) > 3);
    }

    @Test
    void processesThatStartTogetherShareOneCopy() throws Exception {
        List<Process> processes = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            processes.add(jvm.start(onClassPath()));
        }
        for (Process process : processes) {
            assertEquals("loaded " + jvm.cached(), output(process));
        }
    }

    @Test
    void usesATemporaryFolderWhereTheCacheCannotBeWritten() throws Exception {
        Files.createFile(jvm.cache);
        String line = jvm.run(onClassPath("-Djava.io.tmpdir=" + temporary));
        assertTrue(line.startsWith("loaded " + temporary.resolve("logratio-")), line);
        assertFalse(
                Files.exists(Path.of(line.substring("loaded ".length()))),
                "deleted when the process ends");
    }

    @Test
    void saysWhatToDoWhereNothingCanBeWritten() throws Exception {
        Files.createFile(jvm.cache);
        // Not even root may make a folder in /proc.
        String line = jvm.run(onClassPath("-Djava.io.tmpdir=/proc"));
        assertEquals(
                "failed: the native library could not be copied out of the jar (no folder can be"
                    + " made in java.io.tmpdir, which is /proc): make /proc a folder that libraries"
                    + " can be written to and loaded from, or set XDG_CACHE_HOME to one",
                line);
    }

    @Test
    void aDefaultCacheThatOthersCanWriteIsWarnedOfAndPassedBy() throws Exception {
        Path shared =
                Files.createDirectories(temporary.toRealPath().resolve("home").resolve(".cache"));
        Files.setPosixFilePermissions(shared, PosixFilePermissions.fromString("rwxrwxrwx"));
        ProcessBuilder builder =
                jvm.program(
                        onClassPath(
                                "-Duser.home=" + shared.getParent(),
                                "-Djava.io.tmpdir=" + temporary));
        builder.environment().remove("XDG_CACHE_HOME");
        List<String> lines = lines(builder.start());
        assertEquals(3, lines.size(), lines::toString); // the first is the logger's
        assertEquals(
                "WARNING: "
                        + shared.resolve("logratio")
                        + " is not safe to load libraries from: "
                        + shared
                        + " can be written by other users; they are copied to a temporary folder"
                        + " instead, which takes longer",
                lines.get(1));
        assertTrue(
                lines.get(2).startsWith("loaded " + temporary.resolve("logratio-")),
                lines::toString);
        assertFalse(Files.exists(shared.resolve("logratio")));
    }

    @Test
    void aCacheOfTheUsersChoiceThatOthersCanWriteIsRefused() throws Exception {
        Files.createDirectory(jvm.cache);
        Files.setPosixFilePermissions(jvm.cache, PosixFilePermissions.fromString("rwxrwxr-x"));
        assertEquals(
                "failed: XDG_CACHE_HOME leads to "
                        + jvm.cache.resolve("logratio")
                        + ", which is not safe to load libraries from: "
                        + jvm.cache.toRealPath()
                        + " can be written by other users; name a folder that you alone can write",
                jvm.run(onClassPath()));
    }

    @Test
    void aTemporaryFolderThatOthersCanReplaceIsRefused() throws Exception {
        Files.createFile(jvm.cache);
        Path shared = Files.createDirectory(temporary.toRealPath().resolve("shared"));
        Files.setPosixFilePermissions(shared, PosixFilePermissions.fromString("rwxrwxrwx"));
        String line = jvm.run(onClassPath("-Djava.io.tmpdir=" + shared));
        assertTrue(
                line.startsWith(
                        "failed: the native library could not be copied out of the jar ("
                                + shared
                                + " can be written by other users)"),
                line);
        try (Stream<Path> files = Files.list(shared)) {
            assertEquals(0, files.count());
        }
    }

    @Test
    void aCacheThatTheLocaleCannotSpellIsPassedBy() throws Exception {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                "sh",
                                "-c",
                                "XDG_CACHE_HOME=$(printf '%s/\\303\\274' \"$1\"); export"
                                        + " XDG_CACHE_HOME; shift; LC_ALL=C exec \"$@\"",
                                "sh",
                                temporary.toString()));
        command.addAll(jvm.program(onClassPath("-Djava.io.tmpdir=" + temporary)).command());
        String line = output(new ProcessBuilder(command).redirectErrorStream(true).start());
        assertTrue(line.startsWith("loaded " + temporary.resolve("logratio-")), line);
    }
}
