package dev.logratio.trainers.quickstart;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import javax.imageio.ImageIO;

class QuickstartTest {
    @TempDir Path folder;

    private record Outcome(int status, String out, String err) {}

    private static Outcome run(String... args) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int status = Quickstart.run(args, new PrintWriter(out), new PrintWriter(err));
        return new Outcome(status, out.toString(), err.toString());
    }

    private Outcome shortRun(String... more) {
        List<String> args =
                new ArrayList<>(
                        List.of(
                                "--steps",
                                "3",
                                "--warm-up-steps",
                                "4",
                                "--max-tokens",
                                "40",
                                "--out",
                                folder.resolve("out").toString()));
        args.addAll(List.of(more));
        return run(args.toArray(String[]::new));
    }

    /** Everything but the timings: the table's last two columns and the last line. */
    private static List<String> withoutTimings(String out) {
        return out.lines()
                .filter(line -> !line.startsWith("Done in"))
                .map(line -> line.replaceAll("  +[0-9.]+  +[0-9.]+ %$", ""))
                .toList();
    }

    @Test
    void givesTheSameNumbersTwiceAndDrawsTheCurves() throws IOException {
        Outcome first = shortRun();
        assertEquals(0, first.status(), first.err());
        assertEquals(withoutTimings(first.out()), withoutTimings(shortRun().out()));
        for (String run : List.of("dpo ", "discopop ", "dlrml ", "dlrml (.25, .10, .05)")) {
            String row =
                    first.out()
                            .lines()
                            .filter(line -> line.startsWith(run) && line.endsWith("%"))
                            .findFirst()
                            .orElseThrow();
            assertFalse(row.contains("NaN"), row);
        }
        assertTrue(
                first.out()
                        .contains(
                                "discopop (beta 0.05, tau 0.05) has a local minimum at rho ="
                                        + " -2.3714"),
                first.out());
        List<Path> charts =
                first.out().lines().filter(line -> line.endsWith(".png")).map(Path::of).toList();
        assertEquals(7, charts.size());
        for (Path chart : charts) {
            assertTrue(ImageIO.read(chart.toFile()).getWidth() > 800, chart.toString());
        }
    }

    @Test
    void aBadLineIsNamedAndTheRestIsUsed() throws IOException {
        List<String> lines = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            lines.add(
                    "{\"prompt\": \"question "
                            + i
                            + "\", \"chosen\": \"good "
                            + i
                            + "\", \"rejected\": \"bad "
                            + i
                            + "\"}");
        }
        lines.add(4, "{broken");
        Path data = Files.write(folder.resolve("data.jsonl"), lines);
        Outcome skipped = shortRun("--data", data.toString());
        assertEquals(0, skipped.status(), skipped.err());
        assertTrue(skipped.err().startsWith(data + ", line 5: not valid JSON"), skipped.err());
        assertTrue(
                skipped.out()
                        .contains(
                                "9 pairs to train on, 3 held out, 0 cut to 40 tokens, bad lines"
                                        + " left out: 1."),
                skipped.out());

        Outcome stopped = shortRun("--data", data.toString(), "--on-bad-line", "stop");
        assertBadInput(stopped, data + ", line 5: not valid JSON");
    }

    private static String pair(int i, String more) {
        return "{\"system\": \"Be \\u001b[31mkind.\\u0007\", \"question\": \"Why\\r\\n"
                + i
                + "?\", \"chosen\": \"yes \\u202e"
                + i
                + "\", \"rejected\": \"no "
                + i
                + "\""
                + more
                + "}";
    }

    /** Chosen and rejected go on with a question before they answer. */
    private static String withQuestionBeforeTheAnswer(int words) {
        String turns =
                "\": [{\"role\": \"user\", \"content\": \"%s"
                        + " x".repeat(words)
                        + "\"}, {\"role\": \"assistant\", \"content\": \"z\"}]";
        return "{\"question\": \"q\", \"chosen"
                + turns.formatted("a")
                + ", \"rejected"
                + turns.formatted("b")
                + "}";
    }

    @Test
    void tellsWhatItMadeOfAFileAndLetsNothingOfItSteerTheTerminal() throws IOException {
        List<String> lines = new ArrayList<>();
        for (int i = 0; i < 11; i++) {
            lines.add(pair(i, i < 5 ? ", \"id\": 1, \"\\u001b]0;x\": 2" : ""));
        }
        lines.add(withQuestionBeforeTheAnswer(60));
        lines.add(pair(12, "").replace("yes \\u202e12", ""));
        lines.add("{a\u001b[2J\u202e}");
        Path data = Files.write(folder.resolve("data.jsonl"), lines);
        Outcome outcome = shortRun("--data", data.toString());
        assertEquals(0, outcome.status(), outcome.err());
        assertEquals(
                List.of(
                        data + ", line 13: chosen has no answer",
                        data
                                + ", line 14: not valid JSON: Unexpected character ('a' (code 97)):"
                                + " was expecting double-quote to start field name",
                        data + ": columns used as the prompt: system, question.",
                        data + ": columns left out: id, \\u001b]0;x.",
                        data
                                + ": pairs left out because an answer has no token within 40:"
                                + " 1 of 12."),
                outcome.err().lines().toList());
        assertTrue(
                outcome.out().contains(" held out, 0 cut to 40 tokens, bad lines left out: 2."),
                outcome.out());
        assertTrue(
                outcome.out().contains("A held-out prompt: Be \\u001b[31mkind.\\u0007Why\\r\\n"),
                outcome.out());
        (outcome.out() + outcome.err())
                .codePoints()
                .filter(c -> c != '\n')
                .forEach(
                        c ->
                                assertFalse(
                                        Character.isISOControl(c) || c == 0x202e,
                                        () -> "the character " + Integer.toHexString(c)));
    }

    @Test
    void aRunInWhichNoTokenCountsIsAnError() throws IOException {
        Path data =
                Files.writeString(
                        folder.resolve("long.jsonl"),
                        (withQuestionBeforeTheAnswer(60) + "\n").repeat(12));
        assertBadInput(
                shortRun("--data", data.toString()),
                data
                        + ": pairs left out because an answer has no token within 40:"
                        + " 12 of 12; a larger --max-tokens keeps more");
    }

    @Test
    void badInputEndsInOneLine() throws IOException {
        assertBadInput(run("--steps", "0"), "Invalid value for option '--steps'");
        assertBadInput(run("--learning-rate", "-1"), "Invalid value for option '--learning-rate'");
        assertBadInput(
                run("--learning-rate", "fast"), "Invalid value for option '--learning-rate'");
        assertBadInput(run("--on-bad-line", "maybe"), "Invalid value for option '--on-bad-line'");
        assertBadInput(run("--colour"), "Unknown option");
        assertBadInput(run("--data", folder.resolve("none").toString()), "no such file");
        Path file = Files.writeString(folder.resolve("file"), "");
        assertBadInput(
                run("--out", file.toString()),
                "cannot use " + file + ": FileAlreadyExistsException");
        assertBadInput(run("--backend", "abacus"), "");
        Path few =
                Files.writeString(
                        folder.resolve("few.jsonl"),
                        "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}");
        assertBadInput(
                run("--data", few.toString()), few + " has 1 usable pairs; expected 10 or more");
        Path table =
                Files.writeString(folder.resolve("table.csv"), "prompt,chosen,rejected\na,b,c\n");
        assertBadInput(
                run("--data", table.toString()),
                table + " is text, by its first line CSV or TSV; expected JSON lines");
        assertBadInput(
                run("--data", folder.toString()),
                "cannot use " + folder + ": it is a folder; expected a file");
    }

    private static void assertBadInput(Outcome outcome, String start) {
        assertEquals(2, outcome.status());
        assertEquals("", outcome.out());
        assertEquals(1, outcome.err().lines().count(), outcome.err());
        assertTrue(outcome.err().startsWith("logratio quickstart: " + start), outcome.err());
    }
}
