package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.loss.Dlrml;
import dev.logratio.loss.LearnableBetaMix;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;

class LearnableBetaMixTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** A step as the javadoc has it. */
    private static LearnableBetaMix step(
            LearnableBetaMix mix,
            Tensor chosen,
            Tensor rejected,
            Tensor betaMix,
            Tensor gradient,
            double learningRate,
            Backend backend) {
        // begin
        betaMix.fill(mix.betaMix());
        PairLoss.of(new Dlrml(), chosen, rejected)
                .referenceFree()
                .betaMix(betaMix)
                .gradBetaMix(gradient)
                .run(backend);
        mix = mix.withTheta(mix.theta() - learningRate * mix.gradTheta(gradient.getDouble(0)));
        // end
        return mix;
    }

    /** Descent lowers the loss, along the slope of theta; beta_mix stays above its floor. */
    @ParameterizedTest
    @MethodSource("backends")
    void descent(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor chosen = Tensor.of(arena, DType.F64, new double[] {.7, 1.1, -.3}, 3);
            Tensor rejected = Tensor.zeros(arena, DType.F64, 3);
            Tensor betaMix = Tensor.zeros(arena, DType.F64, 1);
            Tensor gradient = Tensor.zeros(arena, DType.F64, 1);
            LearnableBetaMix mix = LearnableBetaMix.of(.20, .05, .05);
            double slope =
                    (meanLoss(mix.withTheta(mix.theta() + 1e-5), chosen, rejected, backend)
                                    - meanLoss(
                                            mix.withTheta(mix.theta() - 1e-5),
                                            chosen,
                                            rejected,
                                            backend))
                            / 2e-5;
            LearnableBetaMix next = step(mix, chosen, rejected, betaMix, gradient, .5, backend);
            assertEquals(mix.theta() - .5 * slope, next.theta(), 1e-9);
            double before = meanLoss(mix, chosen, rejected, backend);
            for (int i = 0; i < 200; i++) {
                mix = step(mix, chosen, rejected, betaMix, gradient, .5, backend);
            }
            assertTrue(meanLoss(mix, chosen, rejected, backend) < before);
            assertTrue(mix.betaMix() > .05 * .05, mix.toString());
        }
    }

    private static double meanLoss(
            LearnableBetaMix mix, Tensor chosen, Tensor rejected, Backend backend) {
        try (Tensor losses = Tensor.zeros(DType.F64, 3)) {
            PairLoss.of(new Dlrml().withBetaMix(mix.betaMix()), chosen, rejected)
                    .referenceFree()
                    .losses(losses)
                    .run(backend);
            return Arrays.stream(losses.toDoubles()).average().orElseThrow();
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {.0025000001, .003, .2, 5, 1000})
    void thetaStandsForBetaMix(double betaMix) {
        assertEquals(
                betaMix,
                LearnableBetaMix.of(betaMix, .05, .05).betaMix(),
                1e-15 * Math.max(1, betaMix));
    }

    @Test
    void mistakesAreNamed() {
        assertMessage(
                "beta_mix is 0.25, expected a finite number > tau*beta_kl = 0.25",
                () -> LearnableBetaMix.of(.25, .5, .5));
        assertMessage(
                "beta_mix is NaN, expected a finite number > tau*beta_kl = 0.25",
                () -> LearnableBetaMix.of(Double.NaN, .5, .5));
        assertMessage(
                "beta_mix is Infinity, expected a finite number > tau*beta_kl = 0.25",
                () -> LearnableBetaMix.of(Double.POSITIVE_INFINITY, .5, .5));
        assertMessage(
                "theta is Infinity, expected a finite number",
                () -> new LearnableBetaMix(Double.POSITIVE_INFINITY, .05, .05));
        assertMessage(
                "tau is 0.0, expected a finite number > 0", () -> new LearnableBetaMix(0, .05, 0));
    }

    private static void assertMessage(
            String message, org.junit.jupiter.api.function.Executable mistake) {
        assertEquals(message, assertThrows(IllegalArgumentException.class, mistake).getMessage());
    }

    @Tag("build")
    @Test
    void isTheCodeOfTheDocumentation() throws IOException {
        String test = read("src/test/java/dev/logratio/LearnableBetaMixTest.java");
        String code =
                withoutSpace(test.substring(test.indexOf("// begin") + 8, test.indexOf("// end")))
                        .replace(".run(backend)", ".run(Backend.cpu())");
        String document = "../docs/losses.md";
        assertTrue(
                withoutSpace(read(document)).contains(code),
                document + " no longer shows this code: " + code);
    }

    private static String read(String path) throws IOException {
        return Files.readString(Path.of(path), StandardCharsets.UTF_8);
    }

    /** Without line breaks, indentation and the asterisks of a comment. */
    private static String withoutSpace(String text) {
        return text.replaceAll("\\n \\* ", "").replaceAll("\\s", "");
    }
}
