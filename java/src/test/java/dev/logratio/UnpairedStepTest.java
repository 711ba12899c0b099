package dev.logratio;

import static dev.logratio.UnpairedStepChain.IGNORE;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.UnpairedStepChain.Batch;
import dev.logratio.loss.ApoZeroUnpaired;
import dev.logratio.loss.Bco;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/** An unpaired step: its outputs, its metrics and its gradient. */
class UnpairedStepTest {
    private static final UnpairedStepMetrics ZERO =
            new UnpairedStepMetrics(0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    private static List<Loss.Unpaired> losses() {
        return List.of(new Kto(.3, 2, .5), new ApoZeroUnpaired(.2), new Bco(.3, 1.5, .25));
    }

    static Stream<Arguments> variants() {
        List<Arguments> variants = new ArrayList<>();
        for (Backend backend : backends().toList()) {
            for (Loss.Unpaired loss : losses()) {
                for (Reduction reduction : Reduction.values()) {
                    variants.add(Arguments.of(backend, loss, reduction));
                }
            }
        }
        return variants.stream();
    }

    /** Two examples of one token over two words: everything can be written down. */
    @ParameterizedTest
    @MethodSource("backends")
    void byHand(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            double ln3 = Math.log(3);
            Tensor logits = Tensor.of(arena, DType.F32, new double[] {ln3, 0, 0, ln3}, 2, 1, 2);
            Tensor[] out = new Tensor[5];
            Arrays.setAll(out, k -> Tensor.zeros(arena, DType.F64, k == 4 ? 1 : 2));
            Tensor gradient = Tensor.zeros(arena, DType.F32, 2, 1, 2);
            UnpairedStepMetrics metrics =
                    UnpairedStep.of(
                                    new Kto(.5, 2, 3),
                                    logits,
                                    Tensor.of(arena, new long[] {0, 0}, 2, 1),
                                    Tensor.of(arena, new boolean[] {true, false}, 2))
                            .referenceLogps(Tensor.of(arena, DType.F32, new double[] {-1, -2}, 2))
                            .klLogps(
                                    Tensor.of(arena, DType.F32, new double[] {-1, -4}, 2),
                                    Tensor.of(arena, DType.F32, new double[] {-3, -3}, 2))
                            .losses(out[0])
                            .logps(out[1])
                            .counts(out[2])
                            .rewards(out[3])
                            .kl(out[4])
                            .gradLogits(gradient)
                            .run(backend);
            double d0 = Math.log(.75) + 1;
            double d1 = Math.log(.25) + 2;
            double s0 = 1 / (1 + Math.exp(.5 * (d0 - .5))); // kl is .5
            double s1 = 1 / (1 + Math.exp(.5 * (.5 - d1)));
            double[] values = {2 * s0, 3 * s1};
            Expect.asPromised("losses", DType.F32, values, out[0].toDoubles());
            double[] logps = {Math.log(.75), Math.log(.25)};
            Expect.asPromised("logps", DType.F32, logps, out[1].toDoubles());
            assertArrayEquals(new double[] {1, 1}, out[2].toDoubles());
            double[] rewards = {.5 * d0, .5 * d1};
            Expect.asPromised("rewards", DType.F32, rewards, out[3].toDoubles());
            assertEquals(.5, out[4].getDouble(0));
            double slope0 = -.5 * 2 * s0 * (1 - s0) / 2; // of the mean of two
            double slope1 = .5 * 3 * s1 * (1 - s1) / 2;
            double[] expected = {slope0 * .25, -slope0 * .25, slope1 * .75, -slope1 * .75};
            Expect.asPromised("gradient", DType.F32, expected, gradient.toDoubles());
            expectMetrics(
                    new UnpairedStepMetrics(
                            (2 * s0 + 3 * s1) / 2,
                            .5 * d0,
                            .5 * d1,
                            .5 * (d0 - d1),
                            -.75 * Math.log(.75) - .25 * Math.log(.25),
                            1,
                            ln3 / 2,
                            ln3 / 2,
                            Math.sqrt(Arrays.stream(expected).map(g -> g * g).sum()),
                            0),
                    metrics);
        }
    }

    /** The step equals the chain of the operations it is made of, run on the reference. */
    @ParameterizedTest(name = "{0}: {1} {2}")
    @MethodSource("variants")
    void equalsTheChain(Backend backend, Loss.Unpaired loss, Reduction reduction) {
        TokenOptions tokenOptions = new TokenOptions(IGNORE, .8, 20);
        SequenceOptions sequenceOptions = SequenceOptions.DEFAULT.withReduction(reduction);
        for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
            try (Arena arena = Arena.ofConfined()) {
                Batch batch = new Batch(arena, dtype, 7, 501);
                Tensor[] out = new Tensor[5];
                Arrays.setAll(out, k -> Tensor.zeros(arena, DType.F32, k == 4 ? 1 : 5));
                Tensor gradient = Tensor.zeros(arena, dtype, batch.logits.shape()).fill(Double.NaN);
                UnpairedStepMetrics metrics =
                        batch.step(loss, batch.logits)
                                .tokenOptions(tokenOptions)
                                .sequenceOptions(sequenceOptions)
                                .losses(out[0])
                                .logps(out[1])
                                .counts(out[2])
                                .rewards(out[3])
                                .kl(out[4])
                                .gradLogits(gradient)
                                .run(backend);

                UnpairedStepChain chain =
                        new UnpairedStepChain(arena, batch, tokenOptions, sequenceOptions, loss);
                Tensor[] expected = {
                    chain.losses, chain.logps, chain.counts, chain.rewards, chain.kl
                };
                for (int k = 0; k < out.length; k++) {
                    Expect.asPromised(
                            "output " + k, DType.F32, expected[k].toDoubles(), out[k].toDoubles());
                }
                Expect.asPromised(
                        "gradient", dtype, chain.gradient.toDoubles(), gradient.toDoubles());
                expectMetrics(chain.metrics(), metrics);

                // The reference's token log-probs, reduced beforehand, and the gradient in place.
                Tensor inPlace =
                        Tensor.zeros(arena, dtype, batch.logits.shape()).copyFrom(batch.logits);
                UnpairedStepMetrics again =
                        batch.step(loss, inPlace)
                                .tokenOptions(tokenOptions)
                                .sequenceOptions(sequenceOptions)
                                .referenceTokenLogps(null)
                                .referenceLogps(chain.referenceLogps)
                                .inPlace()
                                .run(backend);
                assertArrayEquals(gradient.toDoubles(), inPlace.toDoubles());
                expectMetrics(metrics, again);
            }
        }
    }

    /**
     * Weights of 1 and an upstream gradient of 1 are as none, to the bit; twice the upstream
     * gradient doubles the gradient and changes nothing else; launched without metrics, too.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void weightsAndUpstreamGradient(Backend backend) {
        for (Loss.Unpaired loss : losses()) {
            try (Arena arena = Arena.ofConfined()) {
                Batch batch = new Batch(arena, DType.F32, 6, 41);
                Tensor ones = Tensor.zeros(arena, DType.F32, Batch.EXAMPLES).fill(1);
                Tensor one = Tensor.of(arena, new float[] {1}, 1);
                Tensor two = Tensor.of(arena, new float[] {2}, 1);
                double[][] plain = run(arena, backend, batch, loss, null, null);
                assertArrayEquals(plain, run(arena, backend, batch, loss, ones, one));
                double[][] doubled = run(arena, backend, batch, loss, ones, two);
                assertArrayEquals(plain[0], doubled[0]);
                assertArrayEquals(Arrays.stream(plain[1]).map(g -> 2 * g).toArray(), doubled[1]);
                Tensor threes = Tensor.zeros(arena, DType.F64, Batch.EXAMPLES).fill(3);
                double[][] tripled = run(arena, backend, batch, loss, threes, null);
                double[] losses = Arrays.stream(plain[0]).map(value -> 3 * value).toArray();
                Expect.exact("losses", losses, tripled[0]);
                double[] gradient = Arrays.stream(plain[1]).map(g -> 3 * g).toArray();
                Expect.asPromised("gradient", DType.F32, gradient, tripled[1]);
            }
        }
    }

    /** The losses and the gradient of a launch. */
    private static double[][] run(
            Arena arena,
            Backend backend,
            Batch batch,
            Loss.Unpaired loss,
            Tensor weights,
            Tensor gradLoss) {
        Tensor losses = Tensor.zeros(arena, DType.F64, Batch.EXAMPLES);
        Tensor gradient = Tensor.zeros(arena, DType.F32, batch.logits.shape());
        batch.step(loss, batch.logits)
                .weights(weights)
                .gradLoss(gradLoss)
                .losses(losses)
                .gradLogits(gradient)
                .launch(backend);
        return new double[][] {losses.toDoubles(), gradient.toDoubles()};
    }

    /** The gradient is the slope of the loss, through all of the chain; kl is a constant. */
    @ParameterizedTest(name = "{1} {2}")
    @MethodSource("variants")
    void theGradientIsTheSlope(Backend backend, Loss.Unpaired loss, Reduction reduction) {
        boolean exact = backend == Backend.reference();
        double[] logits = new Random(3).doubles(3 * 2 * 4, -2, 2).toArray();
        double[] slopes =
                FiniteDifference.gradient(
                        at -> small(Backend.reference(), DType.F64, loss, reduction, at, null),
                        logits,
                        1e-3);
        double[] gradient = new double[logits.length];
        small(backend, exact ? DType.F64 : DType.F32, loss, reduction, logits, gradient);
        Expect.near("gradient", slopes, gradient, exact ? 1e-8 : 2e-5, exact ? 1e-9 : 3e-6);
    }

    /** A step of three examples of two tokens: its loss. */
    private static double small(
            Backend backend,
            DType dtype,
            Loss.Unpaired loss,
            Reduction reduction,
            double[] values,
            double[] gradient) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = Tensor.of(arena, dtype, values, 3, 2, 4);
            UnpairedStep step =
                    UnpairedStep.of(
                                    loss,
                                    logits,
                                    Tensor.of(arena, new long[] {0, 3, 2, IGNORE, 1, 1}, 3, 2),
                                    Tensor.of(arena, new boolean[] {true, false, false}, 3))
                            .sequenceOptions(SequenceOptions.DEFAULT.withReduction(reduction))
                            .weights(Tensor.of(arena, new float[] {1, 2, .5f}, 3))
                            .referenceLogps(Tensor.of(arena, new float[] {-2, -3, -1}, 3));
            double value = (gradient == null ? step : step.inPlace()).run(backend).loss();
            if (gradient != null) {
                System.arraycopy(logits.toDoubles(), 0, gradient, 0, gradient.length);
            }
            return value;
        }
    }

    /** With nothing to count a log-ratio is 0, and unread logits may be anything. */
    @ParameterizedTest
    @MethodSource("backends")
    void nothingCounts(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            for (Reduction reduction : Reduction.values()) {
                Tensor logits = Tensor.zeros(arena, DType.BF16, 3, 2, 33).fill(Double.NaN);
                UnpairedStepMetrics metrics =
                        UnpairedStep.of(
                                        new Bco(),
                                        logits,
                                        Tensor.zeros(arena, DType.I64, 3, 2),
                                        Tensor.of(arena, new boolean[] {true, true, true}, 3))
                                .referenceTokenLogps(
                                        Tensor.zeros(arena, DType.F32, 3, 2).fill(Double.NaN))
                                .sequenceOptions(SequenceOptions.DEFAULT.withReduction(reduction))
                                .mask(Tensor.zeros(arena, DType.BOOL, 3, 2))
                                .inPlace()
                                .run(backend);
                expectMetrics(
                        new UnpairedStepMetrics(Math.log(2), 0, 0, 0, 0, 0, 0, 0, 0, 0), metrics);
                assertArrayEquals(new double[3 * 2 * 33], logits.toDoubles());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void noExamplesNoTokensAndOneSide(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            for (Loss.Unpaired loss : losses()) {
                assertEquals(ZERO, constant(arena, backend, loss, 0, 3, true));
                assertEquals(ZERO, constant(arena, backend, loss, 0, 0, true));
            }
            Loss.Unpaired apo = new ApoZeroUnpaired();
            UnpairedStepMetrics empty = constant(arena, backend, apo, 2, 0, false);
            double ofReference = .1; // a log-ratio of 1, times beta
            double loss = 1 / (1 + Math.exp(-ofReference));
            expectMetrics(
                    new UnpairedStepMetrics(loss, 0, ofReference, -ofReference, 0, 0, 0, 0, 0, 0),
                    empty);
            UnpairedStepMetrics chosen = constant(arena, backend, apo, 1, 1, true);
            assertEquals(0, chosen.rewardsRejected());
            assertEquals(0, chosen.logitsRejected());
            assertEquals(chosen.rewardsChosen(), chosen.rewardsMargin());
            assertEquals(1, chosen.tokenAccuracy());
            Expect.asPromised(
                    "reward",
                    DType.F32,
                    new double[] {.1 * (1 - Math.log(5))},
                    new double[] {chosen.rewardsChosen()});
            UnpairedStepMetrics rejected = constant(arena, backend, apo, 1, 1, false);
            assertEquals(0, rejected.rewardsChosen());
            assertEquals(0, rejected.tokenAccuracy());
            assertEquals(-rejected.rewardsRejected(), rejected.rewardsMargin());
        }
    }

    /** A step on logits that are all the same, of examples of one side, with a reference of -1. */
    private static UnpairedStepMetrics constant(
            Arena arena,
            Backend backend,
            Loss.Unpaired loss,
            int examples,
            int tokens,
            boolean side) {
        boolean[] chosen = new boolean[examples];
        Arrays.fill(chosen, side);
        return UnpairedStep.of(
                        loss,
                        Tensor.zeros(arena, DType.F32, examples, tokens, 5),
                        Tensor.zeros(arena, DType.I64, examples, tokens),
                        Tensor.of(arena, chosen, examples))
                .referenceLogps(Tensor.zeros(arena, DType.F32, examples).fill(-1))
                .inPlace()
                .run(backend);
    }

    /** A mean of log-ratios below 0 is a kl of 0, as is one of none. */
    @ParameterizedTest
    @MethodSource("backends")
    void klIsAtLeastZero(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32, 3, 17);
            Kto loss = new Kto();
            Tensor none = Tensor.zeros(arena, DType.F32, 0);
            double[][] results = new double[3][];
            for (int k = 0; k < results.length; k++) {
                Tensor losses = Tensor.zeros(arena, DType.F64, Batch.EXAMPLES);
                Tensor kl = Tensor.zeros(arena, DType.F64, 1).fill(Double.NaN);
                UnpairedStep step = batch.step(loss, batch.logits).losses(losses).kl(kl);
                switch (k) {
                    case 0 -> step.klLogps(batch.klReference, batch.klPolicy);
                    case 1 -> step.klLogps(none, none);
                    default -> step.klLogps(null, null);
                }
                step.launch(backend);
                assertEquals(0, kl.getDouble(0));
                results[k] = losses.toDoubles();
            }
            assertArrayEquals(results[0], results[1]);
            assertArrayEquals(results[0], results[2]);
        }
    }

    /** A bad row harms its own example, and a logit of -inf none; a weight of 0 stands alone. */
    @ParameterizedTest
    @MethodSource("backends")
    void nonfiniteValuesAreCounted(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = Tensor.zeros(arena, DType.F32, 4, 2, 8);
            logits.setDouble(Double.NaN, 1, 0, 3);
            logits.setDouble(Double.NEGATIVE_INFINITY, 2, 0, 3);
            logits.setDouble(Double.NEGATIVE_INFINITY, 3, 1, 0); // its label: infinitely rare
            Tensor losses = Tensor.zeros(arena, DType.F64, 4);
            UnpairedStepMetrics metrics =
                    UnpairedStep.of(
                                    new Bco(),
                                    logits,
                                    Tensor.zeros(arena, DType.I64, 4, 2),
                                    Tensor.of(arena, new boolean[] {true, false, true, true}, 4))
                            .referenceLogps(Tensor.zeros(arena, DType.F32, 4))
                            .weights(Tensor.of(arena, new float[] {1, 1, 1, 0}, 4))
                            .losses(losses)
                            .inPlace()
                            .run(backend);
            assertEquals(1 + 2 * 8, metrics.nonfinite());
            assertEquals(Double.NaN, losses.getDouble(1));
            assertEquals(0, losses.getDouble(3));
            assertEquals(0, logits.getDouble(2, 0, 3));
            assertArrayEquals(new double[2 * 8], logits.select(0, 3).toDoubles());
        }
    }

    private static void expectMetrics(UnpairedStepMetrics expected, UnpairedStepMetrics actual) {
        Expect.near("metrics", numbers(expected), numbers(actual), 2e-5, 0, 1e-6);
        assertEquals(expected.nonfinite(), actual.nonfinite());
    }

    private static double[] numbers(UnpairedStepMetrics m) {
        return new double[] {
            m.loss(),
            m.rewardsChosen(),
            m.rewardsRejected(),
            m.rewardsMargin(),
            m.entropy(),
            m.tokenAccuracy(),
            m.logitsChosen(),
            m.logitsRejected(),
            m.gradNorm()
        };
    }
}
