package dev.logratio.bindings;

import static dev.logratio.bindings.LoadingJvm.CLASSES;
import static dev.logratio.bindings.LoadingJvm.TEST_CLASSES;
import static dev.logratio.bindings.LoadingJvm.onClassPath;
import static dev.logratio.bindings.LoadingJvm.output;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The libraries that the system properties logratio.library and java.library.path lead to. */
class NamedLibraryTest {
    @TempDir private Path temporary;

    private LoadingJvm jvm;

    @BeforeEach
    void nameJvm() {
        jvm = new LoadingJvm(temporary);
    }

    @Test
    void thePropertyComesFirst() throws Exception {
        jvm.run(onClassPath());
        Path copy = Files.copy(jvm.cached(), temporary.resolve("mine.so"));
        assertEquals("loaded " + copy, jvm.run(onClassPath("-Dlogratio.library=" + copy)));
    }

    @Test
    void aFileWhereEverybodyCanWriteIsRefused() throws Exception {
        jvm.run(onClassPath());
        Path shared = Files.createDirectory(temporary.toRealPath().resolve("shared"));
        Files.setAttribute(shared, "unix:mode", 01777); // sticky, as /tmp is
        Path copy = Files.copy(jvm.cached(), shared.resolve("mine.so"));
        assertEquals(
                "failed: the system property logratio.library names "
                        + copy
                        + ", which is not loaded: "
                        + shared
                        + " can be written by everybody",
                jvm.run(onClassPath("-Dlogratio.library=" + copy)));
    }

    @Test
    void aMissingFileIsNamed() throws Exception {
        Path missing = temporary.resolve("missing.so");
        assertEquals(
                "failed: the system property logratio.library names "
                        + missing
                        + ", which is not a file",
                jvm.run(onClassPath("-Dlogratio.library=" + missing)));
    }

    @Test
    void aLibraryThatTheSystemRefusesIsNamed() throws Exception {
        Path other = compile("extern int nowhere; int* lr_abi_version(void) { return &nowhere; }");
        String line = jvm.run(onClassPath("-Dlogratio.library=" + other));
        assertTrue(
                line.startsWith("failed: the native library could not be loaded (" + other), line);
        assertTrue(line.contains("undefined symbol: nowhere"), line);
        assertTrue(
                line.endsWith("name one that fits this system with -Dlogratio.library=FILE"), line);
    }

    @Test
    void anotherAbiVersionIsNamed() throws Exception {
        Path other = compile("int lr_abi_version(void) { return 7; }");
        assertEquals(
                "failed: the library loaded from "
                        + other
                        + " has ABI version 7, these bindings need "
                        + logratio_h.LR_ABI_VERSION()
                        + ": use the library and the jar of one release",
                jvm.run(onClassPath("-Dlogratio.library=" + other)));
    }

    @Test
    void aLibraryOfSomebodyElseIsNamed() throws Exception {
        Path other = compile("int something_else(void) { return 1; }");
        assertEquals(
                "failed: the library loaded from "
                        + other
                        + " is not Logratio's: it has no lr_abi_version",
                jvm.run(onClassPath("-Dlogratio.library=" + other)));
    }

    @Test
    void theCurrentFolderIsNoLibraryPath() throws Exception {
        jvm.run(onClassPath());
        Path current = Files.createDirectory(temporary.resolve("current"));
        Files.copy(jvm.cached(), current.resolve("liblogratio.so"));
        Path classes = temporary.resolve("classes");
        copyClassesWithoutNatives(classes);
        ProcessBuilder builder =
                jvm.program(
                        "--enable-native-access=ALL-UNNAMED",
                        "-Djava.library.path=/nowhere:",
                        "-cp",
                        classes + File.pathSeparator + TEST_CLASSES,
                        LoadingProgram.class.getName());
        assertEquals(
                "failed: java.library.path leads to liblogratio.so in the current folder, which is"
                        + " not loaded: give its folders by absolute paths",
                output(builder.directory(current.toFile()).start()));
    }

    @Test
    void aLibraryInTheSystemsPathIsTheLastResort() throws Exception {
        jvm.run(onClassPath());
        Path classes = temporary.resolve("classes");
        copyClassesWithoutNatives(classes);
        assertEquals(
                "loaded java.library.path",
                jvm.run(
                        "--enable-native-access=ALL-UNNAMED",
                        "-Djava.library.path=" + jvm.cached().getParent(),
                        "-cp",
                        classes + File.pathSeparator + TEST_CLASSES,
                        LoadingProgram.class.getName()));
    }

    @Test
    void withoutALibraryItSaysWhereItLooked() throws Exception {
        Path classes = temporary.resolve("classes");
        copyClassesWithoutNatives(classes);
        String line =
                jvm.run(
                        "--enable-native-access=ALL-UNNAMED",
                        "-Djava.library.path=/nowhere",
                        "-cp",
                        classes + File.pathSeparator + TEST_CLASSES,
                        LoadingProgram.class.getName());
        assertEquals(
                "failed: the native library was not found: the system property logratio.library is"
                        + " not set, the jar holds none for linux-x86_64, and java.library.path"
                        + " (/nowhere) leads to none: use the published jar, or name the file with"
                        + " -Dlogratio.library=FILE",
                line);
    }

    private Path compile(String source) throws Exception {
        Path file = Files.writeString(temporary.resolve("other.c"), source);
        Path library = temporary.resolve("other.so");
        Process process =
                new ProcessBuilder(
                                "gcc",
                                "-shared",
                                "-fPIC",
                                "-o",
                                library.toString(),
                                file.toString())
                        .redirectErrorStream(true)
                        .start();
        String text = new String(process.getInputStream().readAllBytes());
        assertEquals(0, process.waitFor(), text);
        return library;
    }

    private static void copyClassesWithoutNatives(Path target) throws IOException {
        Path packageFolder = Path.of("dev", "logratio", "bindings");
        Files.createDirectories(target.resolve(packageFolder));
        try (var files = Files.list(CLASSES.resolve(packageFolder))) {
            for (Path file : files.toList()) {
                Files.copy(file, target.resolve(packageFolder).resolve(file.getFileName()));
            }
        }
    }
}
