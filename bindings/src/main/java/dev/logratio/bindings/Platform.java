package dev.logratio.bindings;

import java.util.Locale;

/** The names that this project gives to operating systems and processors. */
final class Platform {
    /** The one platform that Logratio's jar holds native libraries for. */
    static final String SUPPORTED = "linux-x86_64";

    private Platform() {}

    /** The platform of this JVM, such as {@code linux-x86_64}. */
    static String current() {
        return name(System.getProperty("os.name"), System.getProperty("os.arch"));
    }

    static String name(String system, String architecture) {
        String first = system.toLowerCase(Locale.ROOT).split(" ")[0];
        String arch = architecture.toLowerCase(Locale.ROOT);
        return first + "-" + (arch.equals("amd64") ? "x86_64" : arch);
    }
}
