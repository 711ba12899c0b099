package dev.logratio.bench.report;

import static dev.logratio.bench.report.Examples.bounded;
import static dev.logratio.bench.report.Examples.report;
import static dev.logratio.bench.report.Examples.unbounded;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;

import javax.imageio.ImageIO;

class ReportTest {
    private static final Report REPORT =
            report(bounded("token_logprobs forward", 0.92, 0.031, 12.34), unbounded("pairs", 99));

    @TempDir private Path folder;

    /** Scripts read these lines. */
    @Test
    void theLinesOfTheLoopKeepTheirForm() {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        REPORT.print(new PrintStream(out));
        String[] lines = out.toString().split("\n");
        assertEquals(
                " ".repeat(66) + "     Logratio     libtorch x libtorch  of limit    read",
                lines[0]);
        assertEquals(
                "token_logprobs forward"
                        + " ".repeat(44)
                        + "    100.00 ms   1234.00 ms       12.3      0.92    30.0",
                lines[1]);
        assertEquals(
                "pairs"
                        + " ".repeat(61)
                        + "      2.00 us    198.00 us       99.0         -       -",
                lines[2]);
    }

    @Test
    void theMarkdownHasEveryFigure() {
        String markdown = REPORT.markdown();
        assertTrue(markdown.contains("A processor, 2 threads of 4 CPUs, avx2"), markdown);
        assertTrue(markdown.contains("Memory: read 30.0, copy 28.0, update"), markdown);
        assertTrue(
                markdown.contains(
                        "| token_logprobs forward | 100.00 ms | 1234.00 ms | 12.3 | 0.50 | 0.92 |"
                            + " 0.031 | 0.40 | 20.0 |\n"
                            + "| pairs | 2.00 us | 198.00 us | 99.0 | 5.00 | - | - | - | - |\n"),
                markdown);
    }

    @Test
    void jsonComesBackAsItWas() throws IOException {
        Path file = folder.resolve("report.json");
        Files.writeString(file, Json.text(REPORT));
        assertEquals(REPORT, Json.report(file));
    }

    @Test
    void theChartIsAPicture() throws IOException {
        var picture = ImageIO.read(new ByteArrayInputStream(Charts.png(REPORT.charts())));
        assertTrue(picture.getWidth() > 600 && picture.getHeight() > 100);
        assertTrue(report(unbounded("pairs", 99)).charts().isEmpty());
    }
}
