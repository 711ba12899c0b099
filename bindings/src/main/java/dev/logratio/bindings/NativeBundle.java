package dev.logratio.bindings;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The shared libraries that a jar carries for one platform.
 *
 * @param hash names this set of libraries: the SHA-256 of their index, which holds the SHA-256 of
 *     each
 * @param libraries file name to content, the main library first
 */
record NativeBundle(String hash, Map<String, byte[]> libraries) {
    /** The library that is loaded; others lie beside it and are opened by it. */
    static final String MAIN_LIBRARY = "liblogratio.so";

    /** In the format of sha256sum; written by the build beside the libraries. */
    private static final String INDEX = "liblogratio.sha256";

    /**
     * The libraries for {@code platform} on the class or module path of this class.
     *
     * @return empty if there are none
     * @throws IOException if they cannot be read, or one that the index names is missing
     */
    static Optional<NativeBundle> find(String platform) throws IOException {
        String folder = "/META-INF/native/" + platform + "/";
        byte[] index = read(folder + INDEX);
        if (index == null) {
            return Optional.empty();
        }
        Map<String, byte[]> libraries = new LinkedHashMap<>();
        for (String line : new String(index, StandardCharsets.UTF_8).lines().toList()) {
            String name = line.substring(line.indexOf(' ')).strip();
            byte[] content = read(folder + name);
            if (content == null) {
                throw new FileNotFoundException(folder + name + " is missing in the jar");
            }
            libraries.put(name, content);
        }
        return Optional.of(new NativeBundle(sha256(index), libraries));
    }

    private static byte[] read(String resource) throws IOException {
        try (InputStream stream = NativeBundle.class.getResourceAsStream(resource)) {
            return stream == null ? null : stream.readAllBytes();
        }
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every Java platform has SHA-256", e);
        }
    }
}
