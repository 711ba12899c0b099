package dev.logratio.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What each shared library in the jar asks of the system that it is loaded on. */
class SharedLibraryTest {
    /** Debian 12, Ubuntu 22.04 and Red Hat Enterprise Linux 9 have this version or a newer one. */
    private static final String NEWEST_GLIBC = "2.34";

    @TempDir private static Path folder;

    /**
     * The main one, and the one with the CUDA kernels if there was a compiler for them. The
     * emulator is for tests, and in no jar.
     */
    static Set<String> libraries() throws IOException {
        return NativeBundle.find(Platform.SUPPORTED).orElseThrow().libraries().keySet();
    }

    @BeforeAll
    static void copyOutOfTheJar() throws IOException {
        for (Map.Entry<String, byte[]> library :
                NativeBundle.find(Platform.SUPPORTED).orElseThrow().libraries().entrySet()) {
            Files.write(folder.resolve(library.getKey()), library.getValue());
        }
    }

    @Test
    void areThoseThatBelongThere() throws Exception {
        assertTrue(libraries().contains("liblogratio.so"), libraries()::toString);
        assertTrue(
                Set.of("liblogratio.so", "liblogratio_cuda.so").containsAll(libraries()),
                libraries()::toString);
    }

    @ParameterizedTest
    @MethodSource("libraries")
    void needsTheCLibraryAlone(String library) throws Exception {
        Set<String> needed = new TreeSet<>(readelf(library, "-d", "\\(NEEDED\\).*\\[(.*)]"));
        assertTrue(needed.contains("libc.so.6"), needed::toString);
        needed.removeAll(Set.of("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"));
        assertEquals(Set.of(), needed);
    }

    @ParameterizedTest
    @MethodSource("libraries")
    void runsOnOldCLibraries(String library) throws Exception {
        List<String> versions = readelf(library, "-V", "Name: GLIBC_([0-9.]+)");
        Comparator<String> byNumber = Comparator.comparing(Runtime.Version::parse);
        String highest = versions.stream().max(byNumber).orElseThrow();
        assertTrue(byNumber.compare(highest, NEWEST_GLIBC) <= 0, "needs GLIBC_" + highest);
    }

    @ParameterizedTest
    @MethodSource("libraries")
    void showsItsInterfaceAlone(String library) throws Exception {
        // Bind GLOBAL or WEAK, visible, and defined here: a section number instead of UND.
        List<String> exported =
                readelf(library, "--dyn-syms", "(?:GLOBAL|WEAK)\\s+DEFAULT\\s+\\d+\\s+([^\\s@]+)");
        if (library.equals(NativeBundle.MAIN_LIBRARY)) {
            assertTrue(exported.contains("lr_abi_version"), exported::toString);
            assertEquals(
                    List.of(), exported.stream().filter(name -> !name.startsWith("lr_")).toList());
        } else {
            assertEquals(List.of("logratio_device_table"), exported);
        }
    }

    private static List<String> readelf(String library, String option, String pattern)
            throws Exception {
        Process process =
                new ProcessBuilder("readelf", "--wide", option, folder.resolve(library).toString())
                        .redirectErrorStream(true)
                        .start();
        String output = new String(process.getInputStream().readAllBytes());
        assertEquals(0, process.waitFor(), output);
        List<String> found = new ArrayList<>();
        Matcher matcher = Pattern.compile(pattern).matcher(output);
        while (matcher.find()) {
            found.add(matcher.group(1));
        }
        assertTrue(!found.isEmpty(), output);
        return found;
    }
}
