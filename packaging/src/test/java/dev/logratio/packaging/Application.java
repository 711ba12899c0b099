package dev.logratio.packaging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.Logratio;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.spi.ToolProvider;
import java.util.stream.Stream;

/** The application of somebody else: its jar, the jars that it needs, and what it must print. */
final class Application {
    static final String MODULE = "dev.logratio.application";
    static final String MAIN = MODULE + ".Main";
    private static final Path SOURCES = Path.of("src", "test", "application");

    private Application() {}

    /** Compiles the application against the library's jars, as a module, into a jar of its own. */
    static Path jar(Path folder) throws IOException {
        Path classes = Files.createDirectories(folder.resolve("classes"));
        List<String> compile =
                new ArrayList<>(
                        List.of("-d", classes.toString(), "--module-path", path(libraryJars())));
        try (Stream<Path> files = Files.walk(SOURCES)) {
            files.filter(file -> file.toString().endsWith(".java"))
                    .forEach(file -> compile.add(file.toString()));
        }
        tool("javac", compile);
        Path jar = folder.resolve("application.jar");
        tool("jar", List.of("--create", "--file", jar.toString(), "-C", classes.toString(), "."));
        return jar;
    }

    /** What Maven finds at run time for the one dependency on logratio. */
    static List<Path> libraryJars() throws IOException {
        List<Path> jars =
                Stream.of(
                                Files.readString(Path.of("target", "classpath"))
                                        .split(File.pathSeparator))
                        .map(Path::of)
                        .toList();
        assertTrue(jars.stream().allMatch(Files::isRegularFile), jars::toString);
        return jars;
    }

    /** The jar of a test dependency. */
    static Path testJar(String name) {
        return Stream.of(System.getProperty("java.class.path").split(File.pathSeparator))
                .map(Path::of)
                .filter(path -> path.getFileName().toString().matches(name + "-[0-9.]+\\.jar"))
                .findFirst()
                .orElseThrow();
    }

    static String path(List<Path> entries) {
        return String.join(File.pathSeparator, entries.stream().map(Path::toString).toList());
    }

    static void tool(String name, List<String> arguments) {
        int status =
                ToolProvider.findFirst(name)
                        .orElseThrow()
                        .run(System.out, System.err, arguments.toArray(String[]::new));
        assertEquals(0, status, name);
    }

    /**
     * Starts the application by {@code java} of a runtime, and checks the loss and the version that
     * it prints.
     */
    static List<String> run(Path java, Path folder, List<String> arguments)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(java.toString()));
        command.addAll(arguments);
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put("XDG_CACHE_HOME", folder.resolve("cache").toString());
        builder.environment().remove("LOGRATIO_EMULATOR");
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        List<String> lines = output.lines().toList();
        assertTrue(lines.getFirst().startsWith("loss "), output);
        assertEquals(expectedLoss(), Double.parseDouble(lines.getFirst().substring(5)), 1e-6);
        assertEquals("version " + Logratio.version(), lines.get(1), output);
        assertTrue(lines.stream().noneMatch(line -> line.startsWith("emulator:")), output);
        return lines;
    }

    static Path java() {
        return Path.of(System.getProperty("java.home"), "bin", "java");
    }

    /** DPO's loss with beta 0.1 of the application's pair, by hand. */
    private static double expectedLoss() {
        double chosen = 2 - Math.log(Math.exp(2) + 1 + Math.exp(-1));
        double rejected = -Math.log(1 + Math.E + 1);
        double margin = chosen + 1.5 - (rejected + .75);
        return Math.log1p(Math.exp(-.1 * margin));
    }
}
