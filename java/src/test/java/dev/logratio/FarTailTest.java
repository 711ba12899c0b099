package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.stream.Stream;

/** Tails of several labels where a row has next to nothing beside these, or nothing at all. */
class FarTailTest {
    private static final long IGNORED = -100;

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /**
     * Two columns share a tail that is next to nothing. Whatever else comes from upstream, its
     * gradient is theirs by their shares of it, and the labels have that of the rest.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void sharesOfATinyTail(Backend backend) {
        for (double away : new double[] {60, 100, 800, 40_000, 3e7}) {
            for (double temperature : new double[] {1, .03}) {
                for (boolean entropies : new boolean[] {false, true}) {
                    sharesOfATinyTail(backend, away, temperature, entropies);
                }
            }
        }
    }

    private static void sharesOfATinyTail(
            Backend backend, double away, double temperature, boolean entropies) {
        double[] logits = {0, -away, 0, -away};
        TokenOptions options = TokenOptions.DEFAULT.withTemperature(temperature);
        try (Arena arena = Arena.ofConfined()) {
            Tensor rows = Tensor.of(arena, DType.F32, logits, 1, 4);
            Tensor labels = Tensor.of(arena, new long[] {0, 2}, 1, 2);
            Tensor[] figures = new Tensor[3];
            Arrays.setAll(figures, i -> Tensor.zeros(arena, DType.F64, 1));
            TokenLogprobs.of(rows, labels)
                    .tokenOptions(options)
                    .lse(figures[0])
                    .entropy(figures[1])
                    .tail(figures[2])
                    .run(backend);
            TokenLogprobsBackward call =
                    TokenLogprobsBackward.of(rows, labels, figures[0])
                            .tokenOptions(options)
                            .gradLogp(Tensor.of(arena, DType.F32, new double[] {.5, -2}, 1, 2))
                            .tail(figures[2])
                            .gradTail(Tensor.of(arena, DType.F32, new double[] {3}, 1))
                            .inPlace();
            if (entropies) {
                Tensor one = Tensor.of(arena, DType.F32, new double[] {1}, 1);
                call.entropy(figures[1]).gradEntropy(one);
            }
            call.run(backend);
            // Both labels have half, where neither moves the entropy.
            double[] expected = {.5 - .5 * -1.5 - 1.5, 1.5, -2 - .5 * -1.5 - 1.5, 1.5};
            Expect.near(
                    away + " at " + temperature,
                    Arrays.stream(expected).map(value -> value / temperature).toArray(),
                    rows.toDoubles(),
                    1e-5,
                    0);
        }
    }

    /** An ignored row has a tail as it has other figures: NaN where it has no probabilities. */
    @ParameterizedTest
    @MethodSource("backends")
    void brokenRowsWithoutLabels(Backend backend) {
        double infinity = Double.POSITIVE_INFINITY;
        double[] logits = {1, 2, -infinity, -infinity, infinity, 0, Double.NaN, 0};
        try (Arena arena = Arena.ofConfined()) {
            Tensor labels = Tensor.zeros(arena, DType.I64, 4, 1).fill(IGNORED);
            Tensor tails = Tensor.zeros(arena, DType.F64, 4);
            TokenLogprobs.of(Tensor.of(arena, DType.F32, logits, 4, 2), labels)
                    .tail(tails)
                    .run(backend);
            double[] expected = {0, Double.NaN, Double.NaN, Double.NaN};
            assertArrayEquals(expected, tails.toDoubles());
        }
    }
}
