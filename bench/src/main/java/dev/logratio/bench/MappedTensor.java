package dev.logratio.bench;

import dev.logratio.DType;
import dev.logratio.Tensor;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A tensor in memory mapped for it, in pages of a chosen size; closing gives the memory back. */
final class MappedTensor implements AutoCloseable {
    private static final int DONT_NEED = 4;
    private static final int HUGE_PAGE = 14;
    private static final int NO_HUGE_PAGE = 15;
    private static final Path MAPS = Path.of("/proc/self/smaps");

    private final MemorySegment memory;
    private final Tensor tensor;

    /** Asks for huge pages, or for none. */
    MappedTensor(boolean huge, DType dtype, long... shape) {
        long bytes = dtype.bytes();
        for (long size : shape) {
            bytes *= size;
        }
        memory = Libc.map(bytes);
        if (!SystemFiles.hugePages().equals("never")) {
            Libc.advise(memory, huge ? HUGE_PAGE : NO_HUGE_PAGE);
        }
        tensor = Tensor.wrap(memory, dtype, shape);
    }

    Tensor tensor() {
        return tensor;
    }

    /** Lets the pages go, so that the next write touches each for the first time. */
    void forget() {
        Libc.advise(memory, DONT_NEED);
    }

    /** How much of the touched memory is in huge pages, by the system's own account. */
    double hugeShare() {
        try {
            List<String> lines = Files.readAllLines(MAPS);
            int at = 0;
            while (!holds(lines.get(at))) {
                at++;
            }
            long resident = kilobytes(lines, at, "Rss:");
            return resident == 0 ? 0 : (double) kilobytes(lines, at, "AnonHugePages:") / resident;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private boolean holds(String line) {
        if (!line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
            return false;
        }
        String[] range = line.substring(0, line.indexOf(' ')).split("-");
        return Long.parseUnsignedLong(range[0], 16) <= memory.address()
                && memory.address() < Long.parseUnsignedLong(range[1], 16);
    }

    private static long kilobytes(List<String> lines, int from, String field) {
        int at = from;
        while (!lines.get(at).startsWith(field)) {
            at++;
        }
        return Long.parseLong(lines.get(at).replaceAll("[^0-9]", ""));
    }

    @Override
    public void close() {
        Libc.unmap(memory);
    }
}
