package dev.logratio.cuda;

import java.io.File;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;

/**
 * Runs {@link LoadingProgram} twice in one JVM, each time in a class loader of its own, as a
 * program does that is deployed anew.
 */
final class TwiceProgram {
    private TwiceProgram() {}

    public static void main(String[] args) throws Exception {
        String[] path = System.getProperty("java.class.path").split(File.pathSeparator);
        URL[] urls = new URL[path.length];
        for (int i = 0; i < path.length; i++) {
            urls[i] = Path.of(path[i]).toUri().toURL();
        }
        for (int i = 0; i < 2; i++) {
            ClassLoader loader = new URLClassLoader(urls, ClassLoader.getPlatformClassLoader());
            var main =
                    loader.loadClass(LoadingProgram.class.getName())
                            .getDeclaredMethod("main", String[].class);
            main.setAccessible(true); // of a class that is not public
            main.invoke(null, (Object) args);
        }
    }
}
