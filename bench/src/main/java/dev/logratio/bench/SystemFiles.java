package dev.logratio.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** What Linux tells of the machine in its files. */
final class SystemFiles {
    private static final Path CPU_INFO = Path.of("/proc/cpuinfo");
    private static final Path MEMORY_INFO = Path.of("/proc/meminfo");
    private static final Path CACHES = Path.of("/sys/devices/system/cpu/cpu0/cache");
    private static final Path HUGE_PAGES = Path.of("/sys/kernel/mm/transparent_hugepage/enabled");

    private SystemFiles() {}

    /** The processor's name. */
    static String device() {
        return field(CPU_INFO, "model name");
    }

    /** Bytes that the system can give without swapping. */
    static long availableMemory() {
        return kibibytes(MEMORY_INFO, "MemAvailable");
    }

    /** A field of a /proc file in kB, as bytes. */
    static long kibibytes(Path file, String name) {
        return Long.parseLong(field(file, name).replace(" kB", "")) << 10;
    }

    /**
     * Bytes of a core's data cache of a level.
     *
     * @param absent in a container or virtual machine that does not tell
     */
    static long cache(int level, long absent) {
        if (!Files.isDirectory(CACHES)) {
            return absent;
        }
        try (DirectoryStream<Path> caches = Files.newDirectoryStream(CACHES, "index*")) {
            for (Path cache : caches) {
                if (text(cache.resolve("level")).equals(Integer.toString(level))
                        && !text(cache.resolve("type")).equals("Instruction")) {
                    return Long.parseLong(text(cache.resolve("size")).replace("K", "")) << 10;
                }
            }
            return absent;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** When memory is given in huge pages: always, madvise, or never; never, too, without them. */
    static String hugePages() {
        return Files.isReadable(HUGE_PAGES)
                ? text(HUGE_PAGES).replaceAll(".*\\[(.*)].*", "$1")
                : "never";
    }

    private static String text(Path file) {
        try {
            return Files.readString(file).strip();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String field(Path file, String name) {
        try (Stream<String> lines = Files.lines(file)) {
            return lines.filter(line -> line.startsWith(name))
                    .findFirst()
                    .map(line -> line.substring(line.indexOf(':') + 1).strip())
                    .orElseThrow(() -> new IllegalStateException(file + " has no field " + name));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
