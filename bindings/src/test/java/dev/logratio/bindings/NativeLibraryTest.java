package dev.logratio.bindings;

import static dev.logratio.bindings.LoadingJvm.CLASSES;
import static dev.logratio.bindings.LoadingJvm.TEST_CLASSES;
import static dev.logratio.bindings.LoadingJvm.classPath;
import static dev.logratio.bindings.LoadingJvm.onClassPath;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;

/** The jar's library, on either path, in every class loader and on every thread. */
class NativeLibraryTest {
    @TempDir private Path temporary;

    private LoadingJvm jvm;

    @BeforeEach
    void nameJvm() {
        jvm = new LoadingJvm(temporary);
    }

    @Test
    void loadsTheJarsLibraryFromTheCache() throws Exception {
        assertEquals("loaded " + jvm.cached(), jvm.run(onClassPath()));
        assertTrue(Files.isRegularFile(jvm.cached()));
    }

    @Test
    void loadsOnTheModulePath() throws Exception {
        assertEquals(
                "loaded " + jvm.cached(),
                jvm.run(
                        "--enable-native-access=dev.logratio.bindings",
                        "--module-path",
                        CLASSES.toString(),
                        "--patch-module",
                        "dev.logratio.bindings=" + TEST_CLASSES,
                        "--module",
                        "dev.logratio.bindings/" + LoadingProgram.class.getName()));
    }

    @Test
    void everyClassLoaderHasTheLibrary() throws Exception {
        Class<?> first = inItsOwnClassLoader(logratio_h.class);
        Class<?> second = inItsOwnClassLoader(logratio_h.class);
        assertNotSame(first, second);
        NativeLibrary.load();
        int before = logratio_h.lr_threads();
        assertEquals(0, first.getMethod("lr_set_threads", int.class).invoke(null, before + 1));
        assertEquals(
                before + 1,
                second.getMethod("lr_threads").invoke(null)); // one library, one pool of threads
        assertEquals(0, logratio_h.lr_set_threads(before));
    }

    @Test
    void aFailureThatPassesIsForgotten() throws Exception {
        System.setProperty(NativeLibrary.PATH_PROPERTY, temporary.resolve("missing.so").toString());
        Method load;
        try {
            load = classLoader().loadClass(NativeLibrary.class.getName()).getMethod("load");
            Method again = load;
            Throwable failure =
                    assertThrows(InvocationTargetException.class, () -> again.invoke(null))
                            .getCause();
            assertTrue(
                    failure.getMessage().endsWith("missing.so, which is not a file"),
                    failure::toString);
        } finally {
            System.clearProperty(NativeLibrary.PATH_PROPERTY);
        }
        assertEquals(NativeLibrary.load(), load.invoke(null));
    }

    /**
     * Its parent is the boot loader: the platform's would hand over the classes of the module under
     * test.
     */
    private static URLClassLoader classLoader() throws IOException {
        return new URLClassLoader(new URL[] {CLASSES.toUri().toURL()}, null);
    }

    /** A class once more, with the library loaded. */
    private static Class<?> inItsOwnClassLoader(Class<?> type) throws Exception {
        ClassLoader loader = classLoader();
        loader.loadClass(NativeLibrary.class.getName()).getMethod("load").invoke(null);
        return loader.loadClass(type.getName());
    }

    @Test
    void anotherPlatformIsPointedToTheReference() throws Exception {
        assertEquals(
                "failed: this is linux-aarch64, and natives exist for linux-x86_64 only; the"
                        + " reference backend works everywhere",
                jvm.run(onClassPath("-Dos.arch=aarch64", "-Djava.library.path=/nowhere")));
    }

    @Test
    void deniedNativeAccessNamesTheFlagOfTheClassPath() throws Exception {
        assertEquals(
                "failed: native access is denied: start java with"
                        + " --enable-native-access=ALL-UNNAMED",
                jvm.run(
                        "--illegal-native-access=deny",
                        "-cp",
                        classPath(),
                        LoadingProgram.class.getName()));
    }

    @Test
    void deniedNativeAccessNamesTheFlagOfTheModulePath() throws Exception {
        assertEquals(
                "failed: native access is denied: start java with"
                        + " --enable-native-access=dev.logratio.bindings",
                jvm.run(
                        "--illegal-native-access=deny",
                        "--module-path",
                        CLASSES.toString(),
                        "--patch-module",
                        "dev.logratio.bindings=" + TEST_CLASSES,
                        "--module",
                        "dev.logratio.bindings/" + LoadingProgram.class.getName()));
    }

    @Test
    void threadsAgreeOnOneOutcome() {
        List<String> locations =
                IntStream.range(0, 8)
                        .parallel()
                        .mapToObj(_ -> NativeLibrary.load())
                        .distinct()
                        .toList();
        assertEquals(1, locations.size());
        assertEquals(logratio_h.LR_ABI_VERSION(), logratio_h.lr_abi_version());
    }
}
