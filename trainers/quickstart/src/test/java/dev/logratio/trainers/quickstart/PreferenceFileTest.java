package dev.logratio.trainers.quickstart;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.trainers.quickstart.PreferenceFile.OnBadLine;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;

class PreferenceFileTest {
    private static final String FIRST =
            "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}";
    private static final String LAST =
            "{\"prompt\": \"d\", \"chosen\": \"e\", \"rejected\": \"f\"}";

    @TempDir Path folder;

    private Path write(byte[]... parts) throws IOException {
        Path file = folder.resolve("pairs.jsonl");
        try (var out = Files.newOutputStream(file)) {
            for (byte[] part : parts) {
                out.write(part);
            }
        }
        return file;
    }

    @Test
    void skipsBadLinesAndKeepsAllOthers() throws IOException {
        Path file =
                write(
                        ("\uFEFF" + FIRST + "\r\n\n{oops\n").getBytes(),
                        new byte[] {(byte) 0xff, (byte) 0xfe, '\n'},
                        LAST.getBytes());
        List<String> messages = new ArrayList<>();
        PreferenceFile read = PreferenceFile.read(file, OnBadLine.SKIP, messages::add);
        assertEquals(2, read.pairs().size());
        assertEquals("e", read.pairs().get(1).chosen().getFirst().text());
        assertEquals(2, read.badLines());
        assertEquals(2, messages.size());
        assertTrue(messages.get(0).startsWith(file + ", line 3: not valid JSON"), messages.get(0));
        assertTrue(messages.get(1).startsWith(file + ", line 4: "), messages.get(1));
    }

    @Test
    void stopsAtTheFirstBadLineIfAsked() throws IOException {
        Path file = write((FIRST + "\n{}\n" + LAST).getBytes());
        String message =
                assertThrows(
                                IOException.class,
                                () -> PreferenceFile.read(file, OnBadLine.STOP, text -> {}))
                        .getMessage();
        assertEquals(file + ", line 2: the field chosen is missing", message);
    }

    private static byte[] gzip(byte[] content) throws IOException {
        ByteArrayOutputStream compressed = new ByteArrayOutputStream();
        try (OutputStream out = new GZIPOutputStream(compressed)) {
            out.write(content);
        }
        return compressed.toByteArray();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static Stream<byte[]> containersOfTwoPairs() throws IOException {
        byte[] lines = bytes(FIRST + "\n" + LAST + "\n");
        byte[] array =
                bytes("\uFEFF [\n  " + FIRST + ",\n  " + LAST.replace(",", ",\n    ") + "\n]\n");
        ByteArrayOutputStream members = new ByteArrayOutputStream();
        members.writeBytes(gzip(bytes(FIRST + "\n")));
        members.writeBytes(gzip(bytes(LAST)));
        return Stream.of(
                lines,
                array,
                gzip(lines),
                gzip(array),
                members.toByteArray(),
                bytes(FIRST + "\r" + LAST),
                bytes("\uFEFF" + FIRST + "\r\n\r\n" + LAST + "\r\n"));
    }

    @ParameterizedTest
    @MethodSource("containersOfTwoPairs")
    void readsEveryContainer(byte[] content) throws IOException {
        PreferenceFile read = PreferenceFile.read(write(content), OnBadLine.STOP, text -> {});
        assertEquals(
                List.of("b", "e"),
                read.pairs().stream().map(pair -> pair.chosen().getFirst().text()).toList());
        assertEquals(0, read.badLines());
        assertEquals(List.of(), read.notes());
    }

    @Test
    void aBadRecordOfAnArrayIsNamed() throws IOException {
        List<String> messages = new ArrayList<>();
        String empty = FIRST.replace("\"c\"", "\"\"");
        Path file = write(bytes("[" + FIRST + ", " + empty + ", " + LAST + "]"));
        assertEquals(2, PreferenceFile.read(file, OnBadLine.SKIP, messages::add).pairs().size());
        assertEquals(List.of(file + ", record 2: rejected has no answer"), messages);
    }

    static Stream<Arguments> otherFiles() throws IOException {
        String expected =
                "; expected JSON lines or a JSON array in UTF-8, plain or compressed by gzip";
        byte[] packed = gzip(bytes((FIRST + "\n").repeat(1000)));
        byte[] damaged = packed.clone();
        damaged[damaged.length - 6] ^= 1;
        byte[] chinese =
                "{\"prompt\": \"为什么\", \"chosen\": \"因为\", \"rejected\": \"不\"}\n"
                        .getBytes(Charset.forName("GBK"));
        return Stream.of(
                arguments(FIRST.getBytes(StandardCharsets.UTF_16), "is UTF-16 text" + expected),
                arguments(FIRST.getBytes(StandardCharsets.UTF_16LE), "is UTF-16 text" + expected),
                arguments(
                        ("[" + FIRST + "]").getBytes(StandardCharsets.UTF_16BE),
                        "is UTF-16 text" + expected),
                arguments(
                        ("\uFEFF" + FIRST).getBytes(Charset.forName("UTF-32LE")),
                        "is UTF-32 text" + expected),
                arguments(bytes("PAR1\u0015\u0004"), "is a Parquet file" + expected),
                arguments(gzip(bytes("PAR1\u0015\u0004")), "is a Parquet file" + expected),
                arguments(bytes("PK\u0003\u0004\u0014"), "is a zip archive" + expected),
                arguments(
                        new byte[] {0x28, (byte) 0xb5, 0x2f, (byte) 0xfd, 4},
                        "is compressed by Zstandard" + expected),
                arguments(
                        new byte[] {0x58, 0, 0, 0, 0, 0, 0, 0, '{'}, "is a binary file" + expected),
                arguments(
                        bytes("prompt,chosen,rejected\na,b,c\n"),
                        "is text, by its first line CSV or TSV" + expected),
                arguments(
                        bytes("<!DOCTYPE html>\n<p>Log in, please.</p>"),
                        "is an HTML or XML file" + expected),
                arguments(bytes("once upon a time"), "is text without JSON" + expected),
                arguments(
                        bytes("{\n  \"data\": []\n}\n"),
                        "is JSON with one object over several lines" + expected),
                arguments(
                        bytes("{\"data\": [" + FIRST + "]}\n"),
                        "holds no preference pair; line 1: the field chosen is missing;"
                                + " the record has data"),
                arguments(
                        bytes("[" + FIRST + ", " + LAST.substring(0, 9)),
                        "is cut short: its JSON array ends within record 2"),
                arguments(
                        bytes("[" + FIRST + ","),
                        "is cut short: its JSON array ends within record 2"),
                arguments(
                        bytes("[" + FIRST + "]" + LAST),
                        "goes on after its JSON array; expected one array and no more"),
                arguments(
                        bytes("[1, 2]"),
                        "holds no preference pair; record 1: expected a JSON object with prompt,"
                                + " chosen and rejected"),
                arguments(
                        Arrays.copyOf(packed, packed.length - 9),
                        "is cut short: its gzip data do not end"),
                arguments(Arrays.copyOf(packed, 5), "is cut short: its gzip data do not end"),
                arguments(damaged, "holds damaged gzip data: Corrupt GZIP trailer"),
                arguments(gzip(packed), "is compressed by gzip more than once" + expected),
                arguments(chinese, "is not UTF-8: 1 of its 1 lines are not"),
                arguments(
                        ("[" + new String(chinese, StandardCharsets.ISO_8859_1) + "]")
                                .getBytes(StandardCharsets.ISO_8859_1),
                        "is not UTF-8"));
    }

    @ParameterizedTest
    @MethodSource("otherFiles")
    void saysInOneLineWhatAnotherFileIs(byte[] content, String reason) throws IOException {
        Path file = write(content);
        List<String> messages = new ArrayList<>();
        String message =
                assertThrows(
                                IOException.class,
                                () -> PreferenceFile.read(file, OnBadLine.SKIP, messages::add))
                        .getMessage();
        assertEquals(file + " " + reason, message);
        assertEquals(List.of(), messages);
    }

    @Test
    void aFileOfAnotherEncodingIsRefusedEvenIfSomeLinesAreAscii() throws IOException {
        byte[] latin = (LAST.replace("e", "\u00e9") + "\n").getBytes(StandardCharsets.ISO_8859_1);
        Path file = write(bytes(FIRST + "\n"), latin, latin);
        List<String> messages = new ArrayList<>();
        String message =
                assertThrows(
                                IOException.class,
                                () -> PreferenceFile.read(file, OnBadLine.SKIP, messages::add))
                        .getMessage();
        assertEquals(file + " is not UTF-8: 2 of its 3 lines are not", message);
        assertEquals(List.of(), messages);
    }

    @Test
    void aFolderIsNamed() {
        FileSystemException e =
                assertThrows(
                        FileSystemException.class,
                        () -> PreferenceFile.read(folder, OnBadLine.SKIP, text -> {}));
        assertEquals(folder.toString(), e.getFile());
        assertEquals("it is a folder; expected a file", e.getReason());
    }

    @Test
    void theBundledPairsAreAllDifferent() throws IOException {
        List<PreferencePair> pairs = PreferenceFile.bundled().pairs();
        assertEquals(574, pairs.size());
        assertEquals(574, pairs.stream().map(PreferencePair::prompt).distinct().count());
    }

    @Test
    void theScriptMakesTheBundledPairs() throws Exception {
        Path made = folder.resolve("made.jsonl");
        Process script =
                new ProcessBuilder("python3", "src/main/scripts/make_preferences.py")
                        .redirectOutput(made.toFile())
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        assertTrue(script.waitFor(60, TimeUnit.SECONDS));
        assertEquals(0, script.exitValue());
        try (InputStream bundled = PreferenceFile.class.getResourceAsStream("preferences.jsonl")) {
            assertArrayEquals(bundled.readAllBytes(), Files.readAllBytes(made));
        }
    }
}
