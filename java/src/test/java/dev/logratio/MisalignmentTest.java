package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.misalignment.Feature;
import dev.logratio.misalignment.Feature.Axis;
import dev.logratio.misalignment.LongShort;
import dev.logratio.misalignment.LongShort.Positions;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The two losses that are divergences of paired rows. */
class MisalignmentTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /**
     * First run (0,0),(1,0),(0,2), last run (0,0),(0,1),(3,0), one extra token; values from
     * 60-digit arithmetic.
     */
    private static Tensor toy() {
        return Tensor.of(
                DType.F32, new double[] {0, 0, 1, 0, 0, 2, /* last */ 0, 0, 0, 1, 3, 0}, 2, 3, 2);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void positionsOfAToy(Backend backend) {
        Tensor both = toy();
        Tensor gradient = Tensor.zeros(DType.F32, 2, 3, 2).fill(Double.NaN);
        double term = LongShort.ofStacked(both, 1).coefficient(1).gradient(gradient).run(backend);
        assertEquals(1.3018421657007356, term, 1e-6);
        double a = 0.11552928931500244;
        double b = 0.24052928931500244;
        double c = 0.022372456972185524;
        double d = 0.27148118291542063;
        Expect.near(
                "gradient",
                new double[] {0, 0, a, -a, -c, c, /* last */ -b, b, d, -d, 0, 0},
                gradient.toDoubles(),
                2e-6,
                2e-6);

        Tensor first = both.slice(0, 0, 1);
        Tensor last = both.slice(0, 1, 2);
        assertEquals(
                1.0972754633233031,
                LongShort.of(first, last, 1).positions(Positions.LAST).coefficient(1).run(backend),
                1e-6);
        Tensor onlyLast = Tensor.of(DType.F32, new double[] {0, 2}, 1, 2);
        assertEquals(
                .1 * 1.0972754633233031,
                LongShort.of(first, last, 1).mask(onlyLast).run(backend),
                1e-7);
        assertEquals(
                0.089037413062430068, of(first, last, DivergenceKind.KL_PQ).run(backend), 1e-7);
        assertEquals(0.023420422998912549, of(first, last, DivergenceKind.JS).run(backend), 1e-7);
        LongShort.ofStacked(both, 1).coefficient(1).gradient(both).run(backend);
        assertArrayEquals(gradient.toDoubles(), both.toDoubles());
    }

    private static LongShort of(Tensor first, Tensor last, DivergenceKind kind) {
        return LongShort.of(first, last, 1).coefficient(1).options(DivergenceOptions.of(kind));
    }

    @Test
    void extraLengthsAreUniformUpToHalf() {
        Random random = new Random(1);
        int[] counts = new int[6];
        IntStream.range(0, 5000).forEach(ignored -> counts[LongShort.sampleExtra(10, random)]++);
        assertEquals(0, counts[0]);
        assertTrue(
                Arrays.stream(counts).skip(1).allMatch(count -> count > 850 && count < 1150),
                Arrays.toString(counts));
        assertEquals(
                LongShort.sampleExtra(1000, new Random(5)),
                LongShort.sampleExtra(1000, new Random(5)));
    }

    @Test
    void longShortMistakesAreNamed() {
        assertEquals(
                "extra is 3, expected a number in [1,3)",
                message(() -> LongShort.ofStacked(toy(), 3)));
        assertEquals(
                "mask is F32 [1, 3], expected shape [1, 2]",
                message(() -> LongShort.ofStacked(toy(), 1).mask(Tensor.zeros(DType.F32, 1, 3))));
        assertEquals(
                "both is F32 [3, 3, 2], expected an even number of sequences",
                message(() -> LongShort.ofStacked(Tensor.zeros(DType.F32, 3, 3, 2), 1)));
    }

    /** Two channels of one place each are a row of two features: KL(t,q) with gradient q - t. */
    @ParameterizedTest
    @MethodSource("backends")
    void featureTable(Backend backend) {
        Tensor target = Tensor.of(DType.F32, new double[] {1, 0, -1}, 1, 3, 1, 1);
        Tensor mapped = Tensor.of(DType.F32, new double[] {.5, .25, -.75}, 1, 3, 1, 1);
        Tensor gradient = Tensor.zeros(DType.F32, 1, 3, 1, 1);
        double[] p = {0.66524095577482189, 0.24472847105479765, 0.090030573170380458};
        double[] ofQ = {-0.18105110526702390, 0.13235896367590188, 0.048692141591122018};
        assertEquals(
                0.066602948448097814,
                Feature.ofLogits(target, mapped).gradMapped(gradient).run(backend),
                1e-7);
        Expect.near("gradient", ofQ, gradient.toDoubles(), 2e-6, 2e-6);
        Tensor weights =
                Tensor.of(DType.F32, Arrays.stream(p).map(x -> 5 * x).toArray(), 1, 3, 1, 1);
        assertEquals(
                0.066602948448097814,
                Feature.ofWeights(weights, mapped).gradMapped(gradient.fill(0)).run(backend),
                1e-7);
        Expect.near("gradient", ofQ, gradient.toDoubles(), 2e-6, 2e-6);
        assertEquals(
                0.069185380502170110,
                Feature.ofLogits(target, mapped)
                        .options(DivergenceOptions.of(DivergenceKind.KL_QP))
                        .gradMapped(gradient)
                        .run(backend),
                1e-7);
        Expect.near(
                "gradient",
                new double[] {-0.18731252937977567, 0.13693643148796983, 0.050376097891805839},
                gradient.toDoubles(),
                2e-6,
                2e-6);
        assertEquals(
                0.22974324685814592,
                Feature.ofLogits(target, mapped)
                        .options(DivergenceOptions.of(DivergenceKind.WASSERSTEIN1))
                        .run(backend),
                1e-6);
        assertEquals(
                3 * 0.89899853028803669,
                Feature.ofLogits(target, mapped)
                        .options(DivergenceOptions.DEFAULT.withWeights(3, 0))
                        .run(backend),
                1e-6);
        // A softmax over one place is 1.
        assertEquals(0, Feature.ofLogits(target, mapped).axis(Axis.SPATIAL).run(backend));
        assertEquals(
                0.066602948448097814,
                Feature.ofLogits(target.reshape(1, 1, 3, 1), mapped.reshape(1, 1, 3, 1))
                        .axis(Axis.SPATIAL)
                        .run(backend),
                1e-7);
    }

    @Test
    void inputsAreMasked() {
        Tensor input =
                Tensor.of(
                        DType.F32,
                        new double[] {1, 2, 3, 4, 5, 6, /* channel 1 */ 10, 20, 30, 40, 50, 60},
                        1,
                        2,
                        2,
                        3);
        Tensor binary = Tensor.of(new boolean[] {true, false, false, true, true, false}, 1, 2, 3);
        assertArrayEquals(
                new double[] {1, -1, -1, 4, 5, -1, 10, -1, -1, 40, 50, -1},
                Feature.maskInput(input, binary, 1, -1).toDoubles());
        // Squares of two: the left one keeps 3 of 4, the right one, cut off by the edge, none.
        assertArrayEquals(
                new double[] {.75, 1.5, 0, 3, 3.75, 0, 7.5, 15, 0, 30, 37.5, 0},
                Feature.maskInput(input, binary, 2, 0).toDoubles());
        Tensor soft = Tensor.of(DType.F32, new double[] {.5, 1, 0, .25, 1, 1}, 1, 2, 3);
        assertArrayEquals(
                new double[] {1.5, 2, 2, 2.5, 5, 6, 6, 20, 2, 11.5, 50, 60},
                Feature.maskInput(input, soft, 1, 2).toDoubles());
        assertEquals(
                "granularity is 0, expected at least 1",
                message(() -> Feature.maskInput(input, soft, 0, 0)));
        assertEquals(
                "mask holds 2.0, expected numbers in [0,1]",
                message(() -> Feature.maskInput(input, soft.fill(2), 1, 0)));
    }

    private static String message(Executable executable) {
        return assertThrows(IllegalArgumentException.class, executable).getMessage();
    }
}
