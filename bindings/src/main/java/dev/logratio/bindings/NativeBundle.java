package dev.logratio.bindings;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The shared libraries that a jar carries for one platform.
 *
 * @param hash names this set of libraries: the SHA-256 of their index, which holds the SHA-256 of
 *     each, or of what they hold where there is no index
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

    /**
     * Libraries of others, that lie side by side in a folder on the class path.
     *
     * @param folder of the class path, which may be of any jar
     * @param names of the files, the main library last
     * @return empty if one of them is missing
     * @throws IOException if they cannot be read
     */
    static Optional<NativeBundle> of(String folder, List<String> names) throws IOException {
        MessageDigest digest = sha256();
        Map<String, byte[]> libraries = new LinkedHashMap<>();
        for (String name : names) {
            byte[] content = readOfAny(folder + "/" + name);
            if (content == null) {
                return Optional.empty();
            }
            digest.update(content);
            libraries.put(name, content);
        }
        return Optional.of(new NativeBundle(HexFormat.of().formatHex(digest.digest()), libraries));
    }

    /** What any jar on the class path has, not that of this class alone. */
    private static byte[] readOfAny(String resource) throws IOException {
        try (InputStream stream =
                NativeBundle.class.getClassLoader().getResourceAsStream(resource)) {
            return stream == null ? null : stream.readAllBytes();
        }
    }

    private static byte[] read(String resource) throws IOException {
        try (InputStream stream = NativeBundle.class.getResourceAsStream(resource)) {
            return stream == null ? null : stream.readAllBytes();
        }
    }

    private static String sha256(byte[] bytes) {
        return HexFormat.of().formatHex(sha256().digest(bytes));
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every Java platform has SHA-256", e);
        }
    }
}
