import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.spi.ToolProvider;

/**
 * Compiles a module descriptor for Java 17, unless that has been done since it changed: a
 * descriptor that is written anew makes the jar and all that depends on it stale.
 *
 * <p>Arguments: the source, the folder of the classes, the module's version, the module path.
 */
class ModuleDescriptor {
    private static final int RELEASE = 17;

    /** Java 1.0 has the class files' version 44. */
    private static final int CLASS_FILE_VERSION = 44 + RELEASE;

    public static void main(String[] arguments) throws IOException {
        Path source = Path.of(arguments[0]);
        Path classes = Path.of(arguments[1]);
        if (isCompiled(source, classes.resolve("module-info.class"))) {
            return;
        }
        System.exit(
                ToolProvider.findFirst("javac")
                        .orElseThrow()
                        .run(
                                System.out,
                                System.err,
                                "--release",
                                Integer.toString(RELEASE),
                                "--module-version",
                                arguments[2],
                                "-d",
                                classes.toString(),
                                "--module-path",
                                arguments[3],
                                source.toString()));
    }

    private static boolean isCompiled(Path source, Path compiled) throws IOException {
        return Files.exists(compiled)
                && Files.getLastModifiedTime(compiled).compareTo(Files.getLastModifiedTime(source))
                        >= 0
                && ByteBuffer.wrap(Files.readAllBytes(compiled)).getShort(6) == CLASS_FILE_VERSION;
    }
}
