package dev.logratio.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** A JVM loads the library once, so each case gets its own. */
class NativeLibraryTest {
    private static final Path CLASSES = Path.of("target", "classes").toAbsolutePath();
    private static final Path TEST_CLASSES = Path.of("target", "test-classes").toAbsolutePath();

    @TempDir private Path temporary;

    private static String hash;

    private Path cache;

    @BeforeAll
    static void findBundle() throws IOException {
        hash = NativeBundle.find(Platform.SUPPORTED).orElseThrow().hash();
    }

    @BeforeEach
    void nameCache() {
        cache = temporary.resolve("cache");
    }

    @Test
    void loadsTheJarsLibraryFromTheCache() throws Exception {
        assertEquals("loaded " + cached(), run(onClassPath()));
        assertTrue(Files.isRegularFile(cached()));
    }

    @Test
    void loadsOnTheModulePath() throws Exception {
        assertEquals(
                "loaded " + cached(),
                run(
                        "--enable-native-access=dev.logratio.bindings",
                        "--module-path",
                        CLASSES.toString(),
                        "--patch-module",
                        "dev.logratio.bindings=" + TEST_CLASSES,
                        "--module",
                        "dev.logratio.bindings/" + LoadingProgram.class.getName()));
    }

    @Test
    void replacesADamagedCopy() throws Exception {
        run(onClassPath());
        Files.write(cached(), new byte[] {1, 2, 3});
        assertEquals("loaded " + cached(), run(onClassPath()));
        assertTrue(Files.size(cached()) > 3);
    }

    @Test
    void processesThatStartTogetherShareOneCopy() throws Exception {
        List<Process> processes = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            processes.add(start(onClassPath()));
        }
        for (Process process : processes) {
            assertEquals("loaded " + cached(), output(process));
        }
    }

    @Test
    void usesATemporaryFolderWhereTheCacheCannotBeWritten() throws Exception {
        Files.createFile(cache);
        String line = run(onClassPath("-Djava.io.tmpdir=" + temporary));
        assertTrue(line.startsWith("loaded " + temporary.resolve("logratio-")), line);
        assertFalse(
                Files.exists(Path.of(line.substring("loaded ".length()))),
                "deleted when the process ends");
    }

    @Test
    void saysWhatToDoWhereNothingCanBeWritten() throws Exception {
        Files.createFile(cache);
        String line =
                run(onClassPath("-Djava.io.tmpdir=/proc")); // there not even root may make a folder
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
                program(
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
        Files.createDirectory(cache);
        Files.setPosixFilePermissions(cache, PosixFilePermissions.fromString("rwxrwxr-x"));
        assertEquals(
                "failed: XDG_CACHE_HOME leads to "
                        + cache.resolve("logratio")
                        + ", which is not safe to load libraries from: "
                        + cache.toRealPath()
                        + " can be written by other users; name a folder that you alone can write",
                run(onClassPath()));
    }

    @Test
    void aTemporaryFolderThatOthersCanReplaceIsRefused() throws Exception {
        Files.createFile(cache);
        Path shared = Files.createDirectory(temporary.toRealPath().resolve("shared"));
        Files.setPosixFilePermissions(shared, PosixFilePermissions.fromString("rwxrwxrwx"));
        String line = run(onClassPath("-Djava.io.tmpdir=" + shared));
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
        command.addAll(program(onClassPath("-Djava.io.tmpdir=" + temporary)).command());
        String line = output(new ProcessBuilder(command).redirectErrorStream(true).start());
        assertTrue(line.startsWith("loaded " + temporary.resolve("logratio-")), line);
    }

    @Test
    void everyClassLoaderHasTheLibrary() throws Exception {
        Class<?> first = inItsOwnClassLoader(logratio_h.class);
        Class<?> second = inItsOwnClassLoader(logratio_h.class);
        assertNotSame(first, second);
        NativeLibrary.load();
        int before = logratio_h.lr_threads();
        assertEquals(0, first.getMethod("lr_set_threads", int.class).invoke(null, before + 1));
        assertEquals(
                before + 1,
                second.getMethod("lr_threads").invoke(null)); // one library, one pool of threads
        assertEquals(0, logratio_h.lr_set_threads(before));
    }

    @Test
    void aFailureThatPassesIsForgotten() throws Exception {
        System.setProperty(NativeLibrary.PATH_PROPERTY, temporary.resolve("missing.so").toString());
        Method load;
        try {
            load = classLoader().loadClass(NativeLibrary.class.getName()).getMethod("load");
            Method again = load;
            Throwable failure =
                    assertThrows(InvocationTargetException.class, () -> again.invoke(null))
                            .getCause();
            assertTrue(
                    failure.getMessage().endsWith("missing.so, which is not a file"),
                    failure::toString);
        } finally {
            System.clearProperty(NativeLibrary.PATH_PROPERTY);
        }
        assertEquals(NativeLibrary.load(), load.invoke(null));
    }

    /**
     * Its parent is the boot loader: the platform's would hand over the classes of the module under
     * test.
     */
    private static URLClassLoader classLoader() throws IOException {
        return new URLClassLoader(new URL[] {CLASSES.toUri().toURL()}, null);
    }

    /** A class once more, with the library loaded. */
    private static Class<?> inItsOwnClassLoader(Class<?> type) throws Exception {
        ClassLoader loader = classLoader();
        loader.loadClass(NativeLibrary.class.getName()).getMethod("load").invoke(null);
        return loader.loadClass(type.getName());
    }

    @Test
    void thePropertyComesFirst() throws Exception {
        run(onClassPath());
        Path copy = Files.copy(cached(), temporary.resolve("mine.so"));
        assertEquals("loaded " + copy, run(onClassPath("-Dlogratio.library=" + copy)));
    }

    @Test
    void aFileWhereEverybodyCanWriteIsRefused() throws Exception {
        run(onClassPath());
        Path shared = Files.createDirectory(temporary.toRealPath().resolve("shared"));
        Files.setAttribute(shared, "unix:mode", 01777); // sticky, as /tmp is
        Path copy = Files.copy(cached(), shared.resolve("mine.so"));
        assertEquals(
                "failed: the system property logratio.library names "
                        + copy
                        + ", which is not loaded: "
                        + shared
                        + " can be written by everybody",
                run(onClassPath("-Dlogratio.library=" + copy)));
    }

    @Test
    void theCurrentFolderIsNoLibraryPath() throws Exception {
        run(onClassPath());
        Path current = Files.createDirectory(temporary.resolve("current"));
        Files.copy(cached(), current.resolve("liblogratio.so"));
        Path classes = temporary.resolve("classes");
        copyClassesWithoutNatives(classes);
        ProcessBuilder builder =
                program(
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
    void aMissingFileIsNamed() throws Exception {
        Path missing = temporary.resolve("missing.so");
        assertEquals(
                "failed: the system property logratio.library names "
                        + missing
                        + ", which is not a file",
                run(onClassPath("-Dlogratio.library=" + missing)));
    }

    @Test
    void aLibraryThatTheSystemRefusesIsNamed() throws Exception {
        Path other = compile("extern int nowhere; int* lr_abi_version(void) { return &nowhere; }");
        String line = run(onClassPath("-Dlogratio.library=" + other));
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
                run(onClassPath("-Dlogratio.library=" + other)));
    }

    @Test
    void aLibraryOfSomebodyElseIsNamed() throws Exception {
        Path other = compile("int something_else(void) { return 1; }");
        assertEquals(
                "failed: the library loaded from "
                        + other
                        + " is not Logratio's: it has no lr_abi_version",
                run(onClassPath("-Dlogratio.library=" + other)));
    }

    @Test
    void withoutALibraryItSaysWhereItLooked() throws Exception {
        Path classes = temporary.resolve("classes");
        copyClassesWithoutNatives(classes);
        String line =
                run(
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

    @Test
    void aLibraryInTheSystemsPathIsTheLastResort() throws Exception {
        run(onClassPath());
        Path classes = temporary.resolve("classes");
        copyClassesWithoutNatives(classes);
        assertEquals(
                "loaded java.library.path",
                run(
                        "--enable-native-access=ALL-UNNAMED",
                        "-Djava.library.path=" + cached().getParent(),
                        "-cp",
                        classes + File.pathSeparator + TEST_CLASSES,
                        LoadingProgram.class.getName()));
    }

    @Test
    void anotherPlatformIsPointedToTheReference() throws Exception {
        assertEquals(
                "failed: this is linux-aarch64, and natives exist for linux-x86_64 only; the"
                        + " reference backend works everywhere",
                run(onClassPath("-Dos.arch=aarch64", "-Djava.library.path=/nowhere")));
    }

    @Test
    void deniedNativeAccessNamesTheFlagOfTheClassPath() throws Exception {
        assertEquals(
                "failed: native access is denied: start java with"
                        + " --enable-native-access=ALL-UNNAMED",
                run(
                        "--illegal-native-access=deny",
                        "-cp",
                        classPath(),
                        LoadingProgram.class.getName()));
    }

    @Test
    void deniedNativeAccessNamesTheFlagOfTheModulePath() throws Exception {
        assertEquals(
                "failed: native access is denied: start java with"
                        + " --enable-native-access=dev.logratio.bindings",
                run(
                        "--illegal-native-access=deny",
                        "--module-path",
                        CLASSES.toString(),
                        "--patch-module",
                        "dev.logratio.bindings=" + TEST_CLASSES,
                        "--module",
                        "dev.logratio.bindings/" + LoadingProgram.class.getName()));
    }

    @Test
    void threadsAgreeOnOneOutcome() {
        List<String> locations =
                IntStream.range(0, 8)
                        .parallel()
                        .mapToObj(_ -> NativeLibrary.load())
                        .distinct()
                        .toList();
        assertEquals(1, locations.size());
        assertEquals(logratio_h.LR_ABI_VERSION(), logratio_h.lr_abi_version());
    }

    private Path cached() throws IOException {
        return temporary
                .toRealPath()
                .resolve("cache")
                .resolve("logratio")
                .resolve(hash)
                .resolve("liblogratio.so");
    }

    private static String classPath() {
        return CLASSES + File.pathSeparator + TEST_CLASSES;
    }

    private static String[] onClassPath(String... flags) {
        List<String> arguments = new ArrayList<>(List.of("--enable-native-access=ALL-UNNAMED"));
        arguments.addAll(List.of(flags));
        arguments.addAll(List.of("-cp", classPath(), LoadingProgram.class.getName()));
        return arguments.toArray(String[]::new);
    }

    /**
     * The one line that a JVM with these arguments prints on standard output and standard error
     * together.
     */
    private String run(String... arguments) throws Exception {
        return output(start(arguments));
    }

    private Process start(String... arguments) throws IOException {
        return program(arguments).start();
    }

    private ProcessBuilder program(String... arguments) {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                Path.of(System.getProperty("java.home"), "bin", "java")
                                        .toString()));
        command.addAll(List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put("XDG_CACHE_HOME", cache.toString());
        builder.environment().remove("JAVA_TOOL_OPTIONS");
        return builder;
    }

    private static String output(Process process) throws Exception {
        List<String> lines = lines(process);
        assertEquals(1, lines.size(), lines::toString);
        return lines.getFirst();
    }

    private static List<String> lines(Process process) throws Exception {
        String text = new String(process.getInputStream().readAllBytes());
        assertEquals(0, process.waitFor(), text);
        return text.lines().toList();
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
