package dev.logratio.packaging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** An application that depends on logratio alone computes, in whatever way it is packed. */
class PackagingTest {
    private static final String NATIVE_ACCESS = "--enable-native-access=dev.logratio.bindings";

    @TempDir private static Path shared;
    @TempDir private Path folder;

    private static Path application;
    private static List<Path> library;

    @BeforeAll
    static void compile() throws IOException {
        application = Application.jar(shared);
        library = Application.libraryJars();
    }

    @Test
    void theLibraryBringsItsBindingsAlone() throws IOException {
        assertEquals(
                List.of("logratio", "logratio-bindings"),
                library.stream()
                        .map(jar -> jar.getFileName().toString().replaceFirst("-[0-9.]+\\.jar", ""))
                        .sorted()
                        .toList());
        List<String> tree = Files.readAllLines(Path.of("target", "dependency-tree"));
        assertEquals(3, tree.size(), tree::toString); // with the application itself
        assertTrue(tree.get(1).contains(" dev.logratio:logratio:jar:"), tree::toString);
        assertTrue(tree.get(2).contains(" dev.logratio:logratio-bindings:jar:"), tree::toString);
    }

    @Test
    void onTheModulePath() throws Exception {
        List<String> lines = run(modulePath(List.of()));
        assertTrue(lines.stream().anyMatch(line -> line.startsWith("cuda: ")), lines::toString);
    }

    @Test
    void onTheModulePathBesideJCuda() throws Exception {
        List<String> arguments = new ArrayList<>(List.of("--add-modules", "jcuda"));
        arguments.addAll(modulePath(List.of(Application.testJar("jcuda"))));
        run(arguments);
    }

    @Test
    void onTheClassPath() throws Exception {
        run(
                List.of(
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        Application.path(applicationAnd(library)),
                        Application.MAIN));
    }

    @Test
    void asAnImageOfJlink() throws Exception {
        Path image = folder.resolve("image");
        Application.tool(
                "jlink",
                List.of(
                        "--module-path",
                        Application.path(applicationAnd(library)),
                        "--add-modules",
                        Application.MODULE,
                        "--output",
                        image.toString()));
        Application.run(
                image.resolve("bin").resolve("java"),
                folder,
                List.of(NATIVE_ACCESS, "-m", Application.MODULE + "/" + Application.MAIN));
    }

    @Test
    void asAFatJar() throws Exception {
        try (JarBuilder jar =
                new JarBuilder(folder.resolve("fat.jar"), manifest(Application.MAIN))) {
            for (Path part : applicationAnd(library)) {
                jar.addContents("", part);
            }
        }
        run(List.of("-jar", folder.resolve("fat.jar").toString()));
    }

    /** The layout of Spring Boot: jars within the jar, and its loader. */
    @Test
    void asANestedJarOfSpringBoot() throws Exception {
        Map<String, String> manifest =
                Map.of(
                        "Main-Class",
                        "org.springframework.boot.loader.launch.JarLauncher",
                        "Start-Class",
                        Application.MAIN,
                        "Spring-Boot-Classes",
                        "BOOT-INF/classes/",
                        "Spring-Boot-Lib",
                        "BOOT-INF/lib/",
                        "Enable-Native-Access",
                        "ALL-UNNAMED");
        try (JarBuilder jar = new JarBuilder(folder.resolve("boot.jar"), manifest)) {
            jar.addContents("", Application.testJar("spring-boot-loader"));
            jar.addFolder("BOOT-INF/classes/");
            jar.addContents("BOOT-INF/classes/", application);
            jar.addFolder("BOOT-INF/lib/");
            for (Path part : library) {
                jar.addStored("BOOT-INF/lib/" + part.getFileName(), part);
            }
        }
        run(List.of("-jar", folder.resolve("boot.jar").toString()));
    }

    private static Map<String, String> manifest(String mainClass) {
        return Map.of("Main-Class", mainClass, "Enable-Native-Access", "ALL-UNNAMED");
    }

    private static List<Path> applicationAnd(List<Path> jars) {
        List<Path> all = new ArrayList<>(List.of(application));
        all.addAll(jars);
        return all;
    }

    private static List<String> modulePath(List<Path> more) {
        List<Path> path = applicationAnd(library);
        path.addAll(more);
        return List.of(
                NATIVE_ACCESS,
                "--module-path",
                Application.path(path),
                "--module",
                Application.MODULE + "/" + Application.MAIN);
    }

    private List<String> run(List<String> arguments) throws IOException, InterruptedException {
        return Application.run(Application.java(), folder, arguments);
    }
}
