import java.io.IOException;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.Arrays;

/**
 * Puts the module descriptor that was compiled back into the jar, where another JDK's tool has
 * rewritten it: the same sources shall give the same jar. One that has it already is left alone.
 *
 * <p>Arguments: the jar, the class file, the time of the jar's entries.
 */
class RestoreDescriptor {
    public static void main(String[] arguments) throws IOException {
        byte[] descriptor = Files.readAllBytes(Path.of(arguments[1]));
        try (FileSystem jar = FileSystems.newFileSystem(Path.of(arguments[0]))) {
            Path entry = jar.getPath("module-info.class");
            if (!Arrays.equals(descriptor, Files.readAllBytes(entry))) {
                Files.write(entry, descriptor);
                Files.setLastModifiedTime(entry, FileTime.from(Instant.parse(arguments[2])));
            }
        }
    }
}
