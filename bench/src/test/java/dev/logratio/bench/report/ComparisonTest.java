package dev.logratio.bench.report;

import static dev.logratio.bench.report.Examples.MACHINE;
import static dev.logratio.bench.report.Examples.bounded;
import static dev.logratio.bench.report.Examples.report;
import static dev.logratio.bench.report.Examples.unbounded;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

class ComparisonTest {
    @TempDir private Path folder;

    private Path file;

    @BeforeEach
    void write() throws IOException {
        file = folder.resolve("before.json");
        write(report(bounded("a", 0.9, 0.03, 12), unbounded("pairs", 100)));
    }

    private void write(Report report) throws IOException {
        Files.writeString(file, Json.text(report));
    }

    @Test
    void aFallWithinTheBandHolds() throws IOException {
        Comparison comparison = Comparison.with(file, MACHINE);
        assertTrue(
                comparison.compare(
                        report(bounded("a", 0.871, 0.01, 11.6), unbounded("pairs", 96)),
                        name -> true));
        assertEquals(
                List.of(
                        "beside "
                                + file
                                + " (Logratio 0.1.0, 2026-01-02), none of 3 ratios fell by more"
                                + " than the noise band"),
                comparison.lines());
    }

    @Test
    void aFallBeyondTheBandIsNamed() throws IOException {
        Comparison comparison = Comparison.with(file, MACHINE);
        assertFalse(
                comparison.compare(
                        report(bounded("a", 0.81, 0.01, 12.5), unbounded("pairs", 90)),
                        name -> true));
        assertEquals(
                "fell: a, of limit from 0.900 to 0.810, by 0.090 (10.0 %); the noise band is 0.030",
                comparison.lines().get(0));
        assertTrue(comparison.lines().get(1).startsWith("fell: pairs, x libtorch from 100.000"));
        assertTrue(
                comparison
                        .lines()
                        .get(2)
                        .endsWith("2 of 3 ratios fell by more than the noise band"));
    }

    @Test
    void theWiderBandCounts() throws IOException {
        assertTrue(
                Comparison.with(file, MACHINE)
                        .compare(
                                report(bounded("a", 0.81, 0.1, 12), unbounded("pairs", 100)),
                                name -> true));
    }

    @Test
    void casesOfOneSideAreNamed() throws IOException {
        Comparison comparison = Comparison.with(file, MACHINE);
        assertTrue(comparison.compare(report(bounded("new", 0.5, 0.1, 9)), "a"::equals));
        assertEquals(
                List.of(
                        "only in this run: new",
                        "only in the file: a",
                        "left out by --filter: pairs"),
                comparison.lines().subList(0, 3));
    }

    @Test
    void aRatioOfOneSideIsNamed() throws IOException {
        Comparison comparison = Comparison.with(file, MACHINE);
        assertTrue(
                comparison.compare(report(unbounded("a", 12), unbounded("pairs", 100)), n -> true));
        assertEquals("only in the file: a, of limit", comparison.lines().getFirst());
    }

    @ParameterizedTest
    @ValueSource(strings = {"device", "processors", "threads", "instruction set"})
    void anotherSettingIsRefused(String what) throws IOException {
        write(
                Examples.on(
                        new Machine(
                                what.equals("device") ? "Another" : MACHINE.device(),
                                what.equals("processors") ? 8 : MACHINE.processors(),
                                what.equals("threads") ? 1 : MACHINE.threads(),
                                what.equals("instruction set") ? "avx512" : "avx2",
                                "0.0.9",
                                "24",
                                "2025-01-02"),
                        bounded("a", 0.9, 0.1, 10)));
        refuses("; this is A processor, 2 threads of 4 CPUs, avx2");
    }

    @Test
    void anotherVersionJavaOrDayIsCompared() throws IOException {
        write(
                Examples.on(
                        new Machine("A processor", 4, 2, "avx2", "0.0.9", "24", "2025-01-02"),
                        bounded("a", 0.9, 0.1, 10)));
        Comparison.with(file, MACHINE);
    }

    @Test
    void aFileWithoutNoiseIsRefused() throws IOException {
        Measurement silent =
                new Measurement("a", "", 7, 1, 9, 9, null, 0.9, null, null, 1.0, 1.0, 1.0);
        write(report(silent));
        refuses("does not tell its noise");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "{",
                "[]",
                "3",
                "{}",
                "{\"machine\": null, \"alternating\": []}",
                "{\"alternating\": [{\"name\": \"a\"}]}",
                "{\"device\": {}, \"figures\": []}",
                "{\"machine\": {}} trailing",
            })
    void aBrokenFileIsRefusedInOneLine(String text) throws IOException {
        Files.writeString(file, text);
        refuses("");
    }

    @Test
    void aMissingFileIsRefused() {
        file = folder.resolve("missing.json");
        refuses("is not there");
    }

    private void refuses(String message) {
        String said =
                assertThrows(UnusableFileException.class, () -> Comparison.with(file, MACHINE))
                        .getMessage();
        assertTrue(said.startsWith(file.toString()) && said.contains(message), said);
        assertEquals(1, said.lines().count(), said);
    }
}
