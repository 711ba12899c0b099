package dev.logratio.packaging;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.jar.Attributes;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;

/** Puts jars into one, as the tools that build applications do. */
final class JarBuilder implements AutoCloseable {
    private final JarOutputStream out;
    private final Set<String> names = new HashSet<>(Set.of(JarFile.MANIFEST_NAME, "META-INF/"));

    JarBuilder(Path file, Map<String, String> attributes) throws IOException {
        Manifest manifest = new Manifest();
        manifest.getMainAttributes().put(Attributes.Name.MANIFEST_VERSION, "1.0");
        attributes.forEach(
                (name, value) ->
                        manifest.getMainAttributes().put(new Attributes.Name(name), value));
        out = new JarOutputStream(Files.newOutputStream(file), manifest);
    }

    /** Adds an entry for a folder, which some class loaders look for. */
    void addFolder(String name) throws IOException {
        if (names.add(name)) {
            out.putNextEntry(new ZipEntry(name));
        }
    }

    /** Adds the entries of a jar under a prefix; the first of a name stays. */
    void addContents(String prefix, Path jar) throws IOException {
        try (JarFile in = new JarFile(jar.toFile())) {
            for (JarEntry entry : in.stream().toList()) {
                String name = prefix + entry.getName();
                if (!entry.getName().equals("module-info.class") && names.add(name)) {
                    out.putNextEntry(new ZipEntry(name));
                    in.getInputStream(entry).transferTo(out);
                }
            }
        }
    }

    /** Adds a file as it is, without compression. */
    void addStored(String name, Path file) throws IOException {
        byte[] content = Files.readAllBytes(file);
        CRC32 checksum = new CRC32();
        checksum.update(content);
        ZipEntry entry = new ZipEntry(name);
        entry.setMethod(ZipEntry.STORED);
        entry.setSize(content.length);
        entry.setCrc(checksum.getValue());
        out.putNextEntry(entry);
        out.write(content);
    }

    @Override
    public void close() throws IOException {
        out.close();
    }
}
