package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.loss.Dlrml;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * The README's examples are this code and that of {@link ReadmeCudaExample}, do what they say and
 * stay short.
 */
class ReadmeExampleTest {
    private static void example() {
        // begin
        try (Arena arena = Arena.ofConfined()) {
            // One pair (row 0 chosen, row 1 rejected) of two tokens over a vocabulary of three.
            double[] values = {2, 0, -1, 0, 1, 0, /* rejected */ 0, 1, 0, 3, -1, 0};
            Tensor logits = Tensor.of(arena, DType.F32, values, 2, 2, 3);
            Tensor labels = Tensor.of(arena, new long[] {0, 1, 2, 1}, 2, 2);
            Tensor reference = Tensor.of(arena, DType.F32, new double[] {-1.5, -4}, 2);
            Tensor gradient = Tensor.zeros(arena, DType.F32, 2, 2, 3);
            StepMetrics step =
                    PreferenceStep.of(new Dlrml(), logits, labels)
                            .referenceLogps(reference)
                            .gradLogits(gradient)
                            .run(Backend.cpu());
            System.out.println(step.loss() + " " + Arrays.toString(gradient.toFloats()));
        }
        // end
    }

    @Test
    void printsTheLossAndItsGradient() {
        // The same by hand, from softmax rows and dlrml's definition.
        double chosen = logp(0, 2, 0, -1) + logp(1, 0, 1, 0);
        double rejected = logp(2, 0, 1, 0) + logp(1, 3, -1, 0);
        double rho = chosen + 1.5 - (rejected + 4);
        double loss = loss(rho);
        double slope = (loss(rho + 1e-5) - loss(rho - 1e-5)) / 2e-5;
        double first = slope * (1 - Math.exp(logp(0, 2, 0, -1)));

        String[] printed = output(ReadmeExampleTest::example).split(" ", 2);
        assertEquals(loss, Double.parseDouble(printed[0]), 1e-6);
        String[] gradient = printed[1].replaceAll("[\\[\\]\\s]", "").split(",");
        assertEquals(12, gradient.length);
        assertEquals(first, Double.parseDouble(gradient[0]), 1e-6);
    }

    @Tag("build")
    @ParameterizedTest
    @CsvSource({"ReadmeExampleTest,15", "ReadmeCudaExample,20"})
    void isTheCodeOfTheReadme(String name, int lines) throws IOException {
        List<String> source =
                Files.readAllLines(
                        Path.of("src", "test", "java", "dev", "logratio", name + ".java"),
                        StandardCharsets.UTF_8);
        List<String> marks = source.stream().map(String::strip).toList();
        String code =
                String.join(
                                "\n",
                                source.subList(
                                        marks.indexOf("// begin") + 1, marks.indexOf("// end")))
                        .stripIndent();
        assertTrue(
                code.lines().count() <= lines,
                "the example has grown to " + code.lines().count() + " lines");
        String readme = Files.readString(Path.of("..", "README.md"), StandardCharsets.UTF_8);
        assertTrue(
                readme.contains("```java\n" + code + "\n```"),
                "README.md no longer shows this code:\n" + code);
    }

    private static double logp(int label, double... logits) {
        return logits[label] - Math.log(Arrays.stream(logits).map(Math::exp).sum());
    }

    private static double loss(double rho) {
        double m = 1 / (1 + Math.exp(-0.2 * rho / 0.05));
        return (1 - m) * Math.log1p(Math.exp(-0.05 * rho)) + m * Math.exp(-0.05 * rho);
    }

    private static String output(Runnable body) {
        PrintStream before = System.out;
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        System.setOut(new PrintStream(bytes, true, StandardCharsets.UTF_8));
        try {
            body.run();
        } finally {
            System.setOut(before);
        }
        return bytes.toString(StandardCharsets.UTF_8).strip();
    }
}
