package dev.logratio.cuda;

import java.io.File;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What this JVM runs from, on whichever path it is: for programs that tests start. */
final class ClassPath {
    private ClassPath() {}

    static String all() {
        return String.join(File.pathSeparator, entries());
    }

    /** The paths of a list that have nothing of JCuda. */
    static String withoutJCuda(String paths) {
        return Stream.of(paths.split(File.pathSeparator))
                .filter(path -> !path.contains("jcuda"))
                .collect(Collectors.joining(File.pathSeparator));
    }

    /** The test classes first. */
    static Set<String> entries() {
        Set<String> paths = new LinkedHashSet<>();
        paths.add(Path.of("target", "test-classes").toAbsolutePath().toString());
        for (String property :
                List.of("jdk.module.path", "java.class.path", "surefire.test.class.path")) {
            for (String path : System.getProperty(property, "").split(File.pathSeparator)) {
                if (!path.isEmpty()) {
                    paths.add(path);
                }
            }
        }
        return paths;
    }
}
