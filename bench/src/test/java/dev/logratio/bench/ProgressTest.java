package dev.logratio.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;

class ProgressTest {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    private void twoSteps(boolean live) {
        try (Progress progress = new Progress(new PrintStream(out), live, 2)) {
            progress.begin("first");
            progress.finished("0.90 of limit");
            progress.begin("second");
            progress.finished("");
        }
    }

    @Test
    void withoutATerminalEveryFinishedStepIsALine() {
        twoSteps(false);
        assertEquals("[1/2] first: 0.90 of limit\n[2/2] second\n", out.toString());
    }

    @Test
    void onATerminalOneLineIsWrittenOverAndLeftEmpty() {
        twoSteps(true);
        assertTrue(out.toString().startsWith("\r\033[K[1/2] first\r\033[K"), out.toString());
        assertTrue(out.toString().contains("[2/2] second, about 0:00 left"), out.toString());
        assertTrue(out.toString().endsWith("\r\033[K"));
        assertEquals(-1, out.toString().indexOf('\n'));
    }
}
