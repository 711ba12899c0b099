package dev.logratio.cli;

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
        return last < 1 ? String.join("", all) : String.join(", ", all.subList(0, last)) + " or " + all.get(last);
    }

    /** "[2,3]". */
    static String shape(long[] shape) {
        return Arrays.stream(shape).mapToObj(Long::toString).collect(Collectors.joining(",", "[", "]"));
    }

    /** A name from a file, as messages show it. */
    static String quoted(String name) {
        return "\"" + name + "\"";
    }
}
