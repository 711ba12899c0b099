package dev.logratio.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Starts JVMs that load the library: a JVM loads it once, so each case gets its own. */
final class LoadingJvm {
    static final Path CLASSES = Path.of("target", "classes").toAbsolutePath();
    static final Path TEST_CLASSES = Path.of("target", "test-classes").toAbsolutePath();

    /** What the JVMs have as XDG_CACHE_HOME; it does not exist yet. */
    final Path cache;

    private final Path temporary;

    LoadingJvm(Path temporary) {
        this.temporary = temporary;
        cache = temporary.resolve("cache");
    }

    Path cached() throws IOException {
        return temporary
                .toRealPath()
                .resolve("cache")
                .resolve("logratio")
                .resolve(NativeBundle.find(Platform.SUPPORTED).orElseThrow().hash())
                .resolve("liblogratio.so");
    }

    static String classPath() {
        return CLASSES + File.pathSeparator + TEST_CLASSES;
    }

    static String[] onClassPath(String... flags) {
        List<String> arguments = new ArrayList<>(List.of("--enable-native-access=ALL-UNNAMED"));
        arguments.addAll(List.of(flags));
        arguments.addAll(List.of("-cp", classPath(), LoadingProgram.class.getName()));
        return arguments.toArray(String[]::new);
    }

    /**
     * The one line that a JVM with these arguments prints on standard output and standard error
     * together.
     */
    String run(String... arguments) throws Exception {
        return output(start(arguments));
    }

    Process start(String... arguments) throws IOException {
        return program(arguments).start();
    }

    ProcessBuilder program(String... arguments) {
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

    static String output(Process process) throws Exception {
        List<String> lines = lines(process);
        assertEquals(1, lines.size(), lines::toString);
        return lines.getFirst();
    }

    static List<String> lines(Process process) throws Exception {
        String text = new String(process.getInputStream().readAllBytes());
        assertEquals(0, process.waitFor(), text);
        return text.lines().toList();
    }
}
