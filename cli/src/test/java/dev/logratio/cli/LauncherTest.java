package dev.logratio.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * The launcher {@code ./logratio} in a checkout of nothing but itself, with a Maven and a JDK that
 * only tell what is asked of them.
 */
@Tag("build")
class LauncherTest {
    /** Makes a checkout: {@code checkout FOLDER}. */
    private static final String CHECKOUT =
            """
            checkout() {
              mkdir -p "$1"/{.mvn,native/{include,src},cuda-kernels/{src,emulator}}
              mkdir -p "$1"/{bindings,java,cli}/src/main
              touch "$1"/{,bindings/,java/,cli/}pom.xml "$1/.mvn/maven.config"
              touch "$1"/{,native/,cuda-kernels/}CMakeLists.txt
              cp -r "$SOURCES/logratio" "$SOURCES/scripts" "$1"
            }
            """;

    /**
     * Is at work as long as there is a file "hold", and writes down when it begins and ends. It
     * notes what it built as the real one does.
     */
    private static final String MAVEN =
            """
            #!/bin/bash
            started=$(date -u +%FT%T.%NZ)
            echo begin >>"$LOG"
            while [ -e "${LOG%/log}/hold" ]; do sleep .02; done
            while [ "$1" != -f ]; do shift; done
            root=${2%/pom.xml}
            target=$root/cli/target
            mkdir -p "$target"
            touch "$target/logratio-1.jar" "$target/ours.jar"
            printf %s "$target/ours.jar:$LOG" >"$target/classpath"
            for module in bindings java cli; do
              sh "$root/scripts/mark_built.sh" "$root/$module/target" "$started"
            done
            echo end >>"$LOG"
            """;

    /** Tells the locale, and which parts of the class path there are. */
    private static final String JAVA =
            """
            #!/bin/bash
            echo "LC_ALL=${LC_ALL-} LC_CTYPE=${LC_CTYPE-}"
            while [ "$1" != -cp ]; do shift; done
            IFS=: read -r -a entries <<<"$2"
            for entry in "${entries[@]}"; do
              [ -e "$entry" ] && echo "${entry##*/}" || echo "missing: $entry"
            done
            echo "${@:3}"
            """;

    private static final List<String> STARTED =
            List.of("logratio-1.jar", "ours.jar", "log", "dev.logratio.cli.Main info more");

    @TempDir private Path folder;

    @BeforeEach
    void writeTools() throws IOException {
        Path tools = Files.createDirectory(folder.resolve("tools"));
        Files.createDirectories(folder.resolve("jdk").resolve("bin"));
        Files.writeString(folder.resolve("jdk").resolve("release"), "JAVA_VERSION=\"25\"\n");
        script(folder.resolve("jdk").resolve("bin").resolve("java"), JAVA);
        script(folder.resolve("jdk").resolve("bin").resolve("javac"), "#!/bin/sh\n");
        script(tools.resolve("mvn"), MAVEN);
        for (String name : List.of("cmake", "make", "g++")) {
            script(
                    tools.resolve(name),
                    "#!/bin/sh\ncat >/dev/null\n"); // it is asked for headers, and finds all
        }
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"plain", "with space", "a:b", "\\303\\274", "a:b \\303\\274"})
    void startsFromAnyPath(String name) throws Exception {
        List<String> lines =
                run(
                        "at=$PWD/$(printf '"
                                + name
                                + "')/it; checkout \"$at\"; cd /; \"$at/logratio\" info more 2>&1");
        assertTrue(lines.getFirst().startsWith("logratio: building cli (log: "), lines::toString);
        assertEquals(STARTED, lines.subList(2, lines.size()));
    }

    @Test
    void aMovedCheckoutNeedsNoBuild() throws Exception {
        run("checkout old; old/logratio info more; mv old new:place");
        assertEquals(STARTED, run("new:place/logratio info more 2>&1").subList(1, 5));
        assertEquals(List.of("begin", "end"), Files.readAllLines(folder.resolve("log")));
    }

    /**
     * CMake refuses to build in a folder that was another's; one that stays where it was is kept.
     */
    @ParameterizedTest
    @CsvSource({"old, old, kept", "old, new, gone"})
    void theBuildFolderOfAMovedCheckoutIsForgotten(String before, String after, String expected)
            throws Exception {
        List<String> lines =
                run(
                        "checkout "
                                + before
                                + "; "
                                + before
                                + "/logratio info more; native=bindings/target/native; mkdir"
                                + " -p "
                                + before
                                + "/$native; echo CMAKE_CACHEFILE_DIR:INTERNAL=$PWD/"
                                + before
                                + "/$native >"
                                + before
                                + "/$native/CMakeCache.txt; "
                                + "[ "
                                + before
                                + " = "
                                + after
                                + " ] || mv "
                                + before
                                + " "
                                + after
                                + "; touch -d '+1 second' "
                                + after
                                + "/java/src/main/New.java; "
                                + after
                                + "/logratio info more; [ -e "
                                + after
                                + "/$native ] && echo kept || echo gone");
        assertEquals(expected, lines.getLast());
        assertEquals(
                List.of("begin", "end", "begin", "end"), Files.readAllLines(folder.resolve("log")));
    }

    /**
     * Somebody's own {@code mvn package} counts as the launcher's does, and the other way round.
     */
    @Test
    void whatMavenBuiltIsUsed() throws Exception {
        run("checkout it; mvn -f $PWD/it/pom.xml package");
        assertEquals(STARTED, run("it/logratio info more 2>&1").subList(1, 5));
        assertEquals(List.of("begin", "end"), Files.readAllLines(folder.resolve("log")));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "CMakeLists.txt",
                "native/src/new.h",
                "bindings/src/main/New.java",
                "java/pom.xml",
                "java/src/main/New.java",
                "cli/src/main/New.java"
            })
    void aSourceThatIsNewerThanTheBuildIsBuilt(String file) throws Exception {
        run("checkout it; it/logratio info more; touch it/" + file + "; it/logratio info more");
        assertEquals(
                List.of("begin", "end", "begin", "end"), Files.readAllLines(folder.resolve("log")));
    }

    /**
     * Jars of ours that lie elsewhere, in the local repository, may be those of another version.
     */
    @Test
    void aClassPathOfInstalledJarsIsBuiltAnew() throws Exception {
        run(
                "checkout it; it/logratio info more; mkdir -p repository/dev/logratio; touch"
                        + " repository/dev/logratio/logratio-1.jar; printf %s"
                        + " $PWD/repository/dev/logratio/logratio-1.jar >it/cli/target/classpath;"
                        + " it/logratio info more");
        assertEquals(
                List.of("begin", "end", "begin", "end"), Files.readAllLines(folder.resolve("log")));
    }

    @ParameterizedTest
    @CsvSource(
            nullValues = "-",
            value = {
                "LC_ALL=C,               LC_ALL=C.UTF-8 LC_CTYPE=",
                "LC_ALL=POSIX,           LC_ALL=C.UTF-8 LC_CTYPE=",
                "LANG=C,                 LC_ALL= LC_CTYPE=C.UTF-8",
                "LC_ALL=no_SUCH.UTF-8,   LC_ALL=C.UTF-8 LC_CTYPE=",
                "LC_ALL=C.UTF-8,         LC_ALL=C.UTF-8 LC_CTYPE=",
            })
    void javaCanSpellEveryFile(String locale, String expected) throws Exception {
        List<String> lines =
                run(
                        "unset LC_ALL LC_CTYPE LANG; checkout it; "
                                + locale
                                + " it/logratio info more 2>/dev/null");
        assertEquals(expected, lines.getFirst());
    }

    @Test
    void whatAnotherUserBuiltIsUsed() throws Exception {
        run("checkout it; it/logratio info more; chmod -R a-w it");
        assertEquals(STARTED, run(asNobodySpecial("it/logratio info more")).subList(1, 5));
    }

    @Test
    void anotherUsersCheckoutIsNotBuilt() throws Exception {
        List<String> lines =
                run("checkout it; chmod -R a-w it; " + asNobodySpecial("it/logratio info"));
        assertEquals(2, lines.size(), lines::toString);
        assertTrue(
                lines.getFirst()
                        .matches(
                                "logratio: something is to be built, and \\S+ cannot write to "
                                        + folder.toRealPath()
                                        + "/it: build it as \\S+, whose it is, or use a clone of"
                                        + " your own"),
                lines::toString);
        assertEquals("status 1", lines.getLast());
    }

    /**
     * A command as a user who may write what its permissions say: not as root, who may write
     * everything.
     */
    private static String asNobodySpecial(String command) {
        return "if [ \"$(id -u)\" -eq 0 ]; then as=(setpriv --reuid 65534 --regid 65534"
                + " --clear-groups); fi; \"${as[@]}\" "
                + command
                + " 2>&1 || echo \"status $?\"; chmod -R u+w it";
    }

    /**
     * The launcher and its shell are killed, Maven goes on: the next start waits for it and uses
     * what it built.
     */
    @Test
    void aBuildThatOutlivesItsLauncherIsWaitedFor() throws Exception {
        Path hold = Files.createFile(folder.resolve("hold"));
        Process first =
                bash("checkout it; exec it/logratio info").redirectErrorStream(true).start();
        try {
            while (!Files.exists(folder.resolve("log"))) {
                assertTrue(first.isAlive());
                TimeUnit.MILLISECONDS.sleep(10);
            }
            List<ProcessHandle> shells = new ArrayList<>(List.of(first.toHandle()));
            first.children().forEach(shells::add);
            assertEquals(2, shells.size()); // the second waits for Maven
            shells.forEach(ProcessHandle::destroyForcibly);
            Process second = bash("it/logratio info more 2>&1").start();
            BufferedReader lines = second.inputReader();
            assertEquals("logratio: waiting for a build that is running", lines.readLine());
            Files.delete(hold);
            assertEquals(STARTED, lines.lines().skip(1).toList());
            assertEquals(List.of("begin", "end"), Files.readAllLines(folder.resolve("log")));
        } finally {
            Files.deleteIfExists(hold);
        }
    }

    private static void script(Path file, String text) throws IOException {
        Files.writeString(file, text);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    /** What a script prints; it must end well. */
    private List<String> run(String script) throws Exception {
        Process process = bash(script).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        String errors = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output + errors);
        return output.lines().toList();
    }

    private ProcessBuilder bash(String script) {
        ProcessBuilder builder =
                new ProcessBuilder("bash", "-c", CHECKOUT + script).directory(folder.toFile());
        builder.environment().put("PATH", folder.resolve("tools") + ":" + System.getenv("PATH"));
        builder.environment().put("JAVA_HOME", folder.resolve("jdk").toString());
        builder.environment().put("XDG_CACHE_HOME", folder.resolve("cache").toString());
        builder.environment().put("LOG", folder.resolve("log").toString());
        builder.environment().put("SOURCES", Path.of("..").toAbsolutePath().toString());
        return builder;
    }
}
