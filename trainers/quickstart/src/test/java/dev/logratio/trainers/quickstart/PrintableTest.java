package dev.logratio.trainers.quickstart;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.util.Collections;
import java.util.List;

class PrintableTest {
    @Test
    void spellsOutWhatSteersATerminal() {
        assertEquals("a\\u001b[31mb\\u0007", Printable.of("a\u001b[31mb\u0007"));
        assertEquals("one\\r\\ntwo\\tthree\\u2028", Printable.of("one\r\ntwo\tthree\u2028"));
        assertEquals(
                "\\u202egpj.exe\\u2066\\u200f\\u061c",
                Printable.of("\u202egpj.exe\u2066\u200f\u061c"));
        assertEquals("\\u0000\\u007f\\u009b\\ud800", Printable.of("\0\u007f\u009b\ud800"));
    }

    @Test
    void leavesTextAsItIs() {
        String text = "naïve \"日本語\" 🙂 👩‍🔬 עברית";
        assertEquals(text, Printable.of(text));
    }

    @Test
    void cutsWhatIsLong() {
        assertEquals('"' + "🙂".repeat(60) + '"', Printable.quote("🙂".repeat(60)));
        assertEquals('"' + "🙂".repeat(60) + "...\"", Printable.quote("🙂".repeat(61)));
        assertEquals("a, b\\n", Printable.list(List.of("a", "b\n")));
        assertEquals(
                "x, ".repeat(19) + "x and 2 more", Printable.list(Collections.nCopies(22, "x")));
    }
}
