package dev.logratio.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

import javax.imageio.ImageIO;

/** {@code shape}: its text and its chart. */
@Tag("build") // charts need more of the JDK than the bundle has
class ShapeTest {
    @TempDir Path folder;

    @Test
    void theShapeOfDlrml() throws IOException {
        Path png = folder.resolve("shape.png");
        CommandLineRun run =
                CommandLineRun.of(
                        "shape",
                        "--beta-kl",
                        "0.05",
                        "--beta-mix",
                        "0.20",
                        "--tau",
                        "0.05",
                        "--png",
                        png);
        assertEquals(List.of(), run.errors());
        assertEquals(0, run.status());
        assertEquals(
                List.of(
                        "dlrml           beta_kl 0.05, beta_mix 0.2, tau 0.05",
                        "c               0.0125000 = beta_kl*tau/beta_mix",
                        "start gradient  +0.2694 at rho = 0",
                        "local minimum   rho = -0.9718, loss 0.7244",
                        "local maximum   rho = 0.7775, loss 0.9496",
                        "barrier         0.2252",
                        "not convex      rho in (-0.01975, 1.89024)",
                        "From the start, rho = 0, descent lowers rho and settles in the minimum at"
                                + " -0.9718: such pairs prefer the rejected answer."),
                run.out().lines().toList());
        BufferedImage image = ImageIO.read(png.toFile());
        assertEquals(2000, image.getWidth());
        assertEquals(720, image.getHeight());
        long colours =
                Arrays.stream(image.getRGB(0, 0, 2000, 720, null, 0, 2000)).distinct().count();
        assertTrue(colours > 10, "only " + colours + " colours");
    }

    @Test
    void theShapeOfDiscopopAndOfAConvexLoss() {
        List<String> discoPop =
                CommandLineRun.of("shape", "--beta-mix", "0.05").out().lines().toList();
        assertTrue(
                discoPop.containsAll(
                        List.of(
                                "start gradient  +0.0392 at rho = 0",
                                "local minimum   rho = -2.3714, loss 0.7859",
                                "local maximum   rho = 1.4401, loss 0.8783",
                                "barrier         0.0924")),
                discoPop.toString());
        List<String> convex =
                CommandLineRun.of("shape", "--beta-kl", "0.5", "--beta-mix", "0.05")
                        .out()
                        .lines()
                        .toList();
        assertTrue(
                convex.containsAll(
                        List.of(
                                "local minimum   none",
                                "local maximum   none",
                                "not convex      nowhere")),
                convex.toString());
    }

    @Test
    void aChartThatCannotBeWrittenIsAnError() {
        CommandLineRun run = CommandLineRun.of("shape", "--png", "/dev/full");
        assertEquals(2, run.status());
        assertEquals(
                List.of(
                        "logratio shape: --png /dev/full cannot be written: not a regular file:"
                                + " /dev/full"),
                run.errors());
    }
}
