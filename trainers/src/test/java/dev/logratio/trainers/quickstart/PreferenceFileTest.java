package dev.logratio.trainers.quickstart;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.trainers.quickstart.PreferenceFile.OnBadLine;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PreferenceFileTest {
    private static final String FIRST = "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}";
    private static final String LAST = "{\"prompt\": \"d\", \"chosen\": \"e\", \"rejected\": \"f\"}";

    @TempDir
    Path folder;

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
        Path file = write(("\uFEFF" + FIRST + "\r\n\n{oops\n").getBytes(), new byte[] {(byte) 0xff, (byte) 0xfe, '\n'}, LAST.getBytes());
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
        String message = assertThrows(IOException.class, () -> PreferenceFile.read(file, OnBadLine.STOP, text -> {})).getMessage();
        assertEquals(file + ", line 2: the field chosen is missing", message);
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
        Process script = new ProcessBuilder("python3", "src/main/scripts/make_preferences.py")
                .redirectOutput(made.toFile()).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        assertTrue(script.waitFor(60, TimeUnit.SECONDS));
        assertEquals(0, script.exitValue());
        try (InputStream bundled = PreferenceFile.class.getResourceAsStream("preferences.jsonl")) {
            assertArrayEquals(bundled.readAllBytes(), Files.readAllBytes(made));
        }
    }
}
