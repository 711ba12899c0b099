package dev.logratio.cli.file;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.nio.charset.StandardCharsets.UTF_8;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;

class WholeFileTest {
    @TempDir Path folder;

    @Test
    void aFileAppearsWhenItIsFinished() throws IOException {
        Path path = folder.resolve("x");
        try (WholeFile file = WholeFile.create(path)) {
            file.write(ByteBuffer.wrap("whole".getBytes(UTF_8)));
            assertFalse(Files.exists(path));
            file.finish();
            assertEquals("whole", Files.readString(path));
        }
        assertEquals(List.of("x"), names());
    }

    @Test
    void nothingIsLeftOfAFileThatIsNotFinished() throws IOException {
        Path path = Files.writeString(folder.resolve("x"), "old");
        try (WholeFile file = WholeFile.create(path)) {
            file.write(ByteBuffer.wrap("part".getBytes(UTF_8)));
        }
        assertEquals("old", Files.readString(path));
        assertEquals(List.of("x"), names());
    }

    @Test
    void aNameMayBeAsLongAsTheSystemAllows() throws IOException {
        String longest = "\u00e9".repeat(127) + "x"; // 255 bytes
        try (WholeFile file = WholeFile.create(folder.resolve(longest))) {
            file.finish();
        }
        assertEquals(List.of(longest), names());

        Path tooLong = folder.resolve(longest + "x");
        try (WholeFile file = WholeFile.create(tooLong)) {
            FileSystemException failed = assertThrows(FileSystemException.class, file::finish);
            assertEquals(tooLong.toString(), failed.getFile());
            assertEquals("File name too long", failed.getReason());
        }
        assertEquals(List.of(longest), names());
    }

    @Test
    void whatAKilledProcessLeftIsRemoved() throws IOException {
        Path abandoned = Files.writeString(folder.resolve(".logratio-1-1-1.tmp"), "abandoned");
        Path other = Files.writeString(folder.resolve(".other-1-1-1.tmp"), "other");
        Path link = Files.createSymbolicLink(folder.resolve(".logratio-1-1-2.tmp"), other);
        try (WholeFile file = WholeFile.create(folder.resolve("x"))) {
            file.finish();
        }
        assertFalse(Files.exists(abandoned));
        assertEquals(
                List.of(link.getFileName().toString(), other.getFileName().toString(), "x"),
                names());
        assertEquals("other", Files.readString(other));
    }

    @Test
    void filesThatAreBeingWrittenStay() throws Exception {
        Path theirs = Files.createFile(folder.resolve(".logratio-1-1-1.tmp"));
        Process writer =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-cp",
                                System.getProperty("java.class.path"),
                                Writing.class.getName(),
                                theirs.toString())
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        try {
            assertEquals('w', writer.getInputStream().read());
            WholeFile.create(folder.resolve("x")).close();
            assertTrue(Files.exists(theirs));
        } finally {
            writer.destroyForcibly().waitFor();
        }
        // A process looks through a folder once: here under another name.
        WholeFile.create(folder.resolve(".").resolve("x")).close();
        assertFalse(Files.exists(theirs));
    }

    /** Another process that writes a file. */
    static final class Writing {
        public static void main(String[] arguments) throws Exception {
            try (FileChannel channel =
                    FileChannel.open(Path.of(arguments[0]), StandardOpenOption.WRITE)) {
                System.out.print(channel.tryLock() != null ? 'w' : 'n');
                System.out.flush();
                Thread.sleep(60_000);
            }
        }
    }

    private List<String> names() throws IOException {
        try (var files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }
}
