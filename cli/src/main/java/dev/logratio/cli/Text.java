package dev.logratio.cli;

import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.stream.Collectors;

/** Small pieces of messages. */
final class Text {
    private Text() {}

    /** "a, b or c". */
    static String alternatives(Collection<String> words) {
        List<String> all = List.copyOf(words);
        int last = all.size() - 1;
        return last < 1
                ? String.join("", all)
                : String.join(", ", all.subList(0, last)) + " or " + all.get(last);
    }

    /** "[2,3]". */
    static String shape(long[] shape) {
        return Arrays.stream(shape)
                .mapToObj(Long::toString)
                .collect(Collectors.joining(",", "[", "]"));
    }

    /**
     * Why a file cannot be read or written, with the name of the file at fault if the system gives
     * one.
     */
    static String reason(Exception e) {
        return switch (e) {
            case NoSuchFileException missing -> "no such file or directory: " + missing.getFile();
            case AccessDeniedException denied -> "permission denied: " + denied.getFile();
            case FileSystemException failed when failed.getReason() != null ->
                    failed.getReason() + ": " + failed.getFile();
            default -> String.valueOf(e.getMessage());
        };
    }

    /** A name from a file, as messages show it. */
    static String quoted(String name) {
        return "\"" + name + "\"";
    }
}
