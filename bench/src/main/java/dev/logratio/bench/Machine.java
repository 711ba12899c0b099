package dev.logratio.bench;

import dev.logratio.Logratio;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.stream.Stream;

/**
 * Where figures were taken.
 *
 * @param device the processor's name
 * @param processors CPUs that the process may use
 * @param threads threads that both implementations use
 * @param instructionSet what Logratio's kernels run on
 * @param version Logratio's
 * @param java the virtual machine's
 * @param date day of the run
 */
record Machine(
        String device,
        int processors,
        int threads,
        String instructionSet,
        String version,
        String java,
        String date) {
    private static final Path CPU_INFO = Path.of("/proc/cpuinfo");
    private static final Path MEMORY_INFO = Path.of("/proc/meminfo");

    static Machine current() {
        return new Machine(
                field(CPU_INFO, "model name"),
                Runtime.getRuntime().availableProcessors(),
                Logratio.threads(),
                Logratio.instructionSet(),
                Logratio.version(),
                Runtime.version().toString(),
                LocalDate.now().toString());
    }

    /** Bytes that the system can give without swapping. */
    static long availableMemory() {
        return kibibytes(MEMORY_INFO, "MemAvailable");
    }

    /** A field of a /proc file in kB, as bytes. */
    static long kibibytes(Path file, String name) {
        return Long.parseLong(field(file, name).replace(" kB", "")) << 10;
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

    @Override
    public String toString() {
        return "Logratio "
                + version
                + " on "
                + device
                + ", "
                + threads
                + " threads of "
                + processors
                + " CPUs, "
                + instructionSet
                + ", Java "
                + java
                + ", "
                + date;
    }
}
