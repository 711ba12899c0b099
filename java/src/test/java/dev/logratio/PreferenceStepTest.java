package dev.logratio;

import static dev.logratio.StepChain.IGNORE;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.SequenceOptions.Align;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.StepChain.Batch;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/** A preference step of one loss: its outputs, its metrics and its gradient. */
class PreferenceStepTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** One pair of one token over two words: everything can be written down. */
    @ParameterizedTest
    @MethodSource("backends")
    void byHand(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            double ln3 = Math.log(3);
            Tensor logits = Tensor.of(arena, DType.F32, new double[] {ln3, 0, 0, ln3}, 2, 1, 2);
            Tensor labels = Tensor.of(arena, new long[] {0, 0}, 2, 1);
            Tensor losses = Tensor.zeros(arena, DType.F64, 1);
            Tensor logps = Tensor.zeros(arena, DType.F64, 2);
            Tensor counts = Tensor.zeros(arena, DType.F64, 2);
            Tensor gradient = Tensor.zeros(arena, DType.F32, 2, 1, 2);
            StepMetrics metrics =
                    PreferenceStep.of(new Sigmoid().withBeta(.5), logits, labels)
                            .referenceLogps(Tensor.of(arena, DType.F32, new double[] {-1, -2}, 2))
                            .losses(losses)
                            .logps(logps)
                            .counts(counts)
                            .gradLogits(gradient)
                            .run(backend);
            double chosen = Math.log(.75) + 1;
            double rejected = Math.log(.25) + 2;
            double loss = Math.log1p(Math.exp(-.5 * (chosen - rejected)));
            double slope = -.5 / (1 + Math.exp(.5 * (chosen - rejected)));
            Expect.asPromised("losses", DType.F32, new double[] {loss}, losses.toDoubles());
            Expect.asPromised(
                    "logps",
                    DType.F32,
                    new double[] {Math.log(.75), Math.log(.25)},
                    logps.toDoubles());
            assertArrayEquals(new double[] {1, 1}, counts.toDoubles());
            double[] expected = {slope * .25, -slope * .25, -slope * .75, slope * .75};
            Expect.asPromised("gradient", DType.F32, expected, gradient.toDoubles());
            double entropy = -.75 * Math.log(.75) - .25 * Math.log(.25);
            double norm = Math.sqrt(2 * Math.pow(slope * .25, 2) + 2 * Math.pow(slope * .75, 2));
            expectMetrics(
                    new StepMetrics(
                            loss,
                            .5 * chosen,
                            .5 * rejected,
                            .5 * (chosen - rejected),
                            1,
                            entropy,
                            1,
                            ln3 / 2,
                            ln3 / 2,
                            norm,
                            0),
                    metrics);
        }
    }

    static Stream<Arguments> variants() {
        List<SequenceOptions> sequences =
                List.of(
                        SequenceOptions.DEFAULT,
                        new SequenceOptions(Reduction.MEAN, 1, Align.COMPLETION, 1),
                        new SequenceOptions(Reduction.SUM, 0, Align.COMPLETION, 1),
                        new SequenceOptions(Reduction.MEAN, .3, Align.ABSOLUTE, .6));
        List<Loss.Paired> losses =
                List.of(
                        new Dlrml(.25, .1, .05),
                        new DiscoPop().withFDivergence(new FDivergence.Js()),
                        new Sigmoid().withLabelSmoothing(.1));
        return backends()
                .flatMap(
                        backend ->
                                sequences.stream()
                                        .flatMap(
                                                options ->
                                                        losses.stream()
                                                                .map(
                                                                        loss ->
                                                                                Arguments.of(
                                                                                        backend,
                                                                                        options,
                                                                                        loss))));
    }

    /** The step equals the chain of the operations it is made of, run on the reference. */
    @ParameterizedTest(name = "{0}: {1} {2}")
    @MethodSource("variants")
    void equalsTheChain(Backend backend, SequenceOptions sequenceOptions, Loss.Paired loss) {
        TokenOptions tokenOptions = new TokenOptions(IGNORE, .8, 20);
        for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
            try (Arena arena = Arena.ofConfined()) {
                Batch batch = new Batch(arena, dtype, 3, 7, 501);
                PreferenceStep step =
                        PreferenceStep.of(loss, batch.logits, batch.labels)
                                .tokenOptions(tokenOptions)
                                .sequenceOptions(sequenceOptions)
                                .mask(batch.mask)
                                .referenceTokenLogps(batch.referenceTokens);
                Tensor losses = Tensor.zeros(arena, DType.F32, 3);
                Tensor logps = Tensor.zeros(arena, DType.F32, 6);
                Tensor counts = Tensor.zeros(arena, DType.F32, 6);
                Tensor gradient = Tensor.zeros(arena, dtype, 6, 7, 501).fill(Double.NaN);
                StepMetrics metrics =
                        step.losses(losses)
                                .logps(logps)
                                .counts(counts)
                                .gradLogits(gradient)
                                .run(backend);

                StepChain chain = new StepChain(arena, batch, tokenOptions, sequenceOptions, loss);
                Expect.asPromised(
                        "losses", DType.F32, chain.losses.toDoubles(), losses.toDoubles());
                Expect.asPromised("logps", DType.F32, chain.logps.toDoubles(), logps.toDoubles());
                Expect.asPromised(
                        "counts", DType.F32, chain.counts.toDoubles(), counts.toDoubles());
                Expect.asPromised(
                        "gradient", dtype, chain.gradient.toDoubles(), gradient.toDoubles());
                expectMetrics(chain.metrics(), metrics);

                // The reference's token log-probs, reduced beforehand, and the gradient in place.
                Tensor inPlace = Tensor.zeros(arena, dtype, 6, 7, 501).copyFrom(batch.logits);
                StepMetrics again =
                        PreferenceStep.of(loss, inPlace, batch.labels)
                                .tokenOptions(tokenOptions)
                                .sequenceOptions(sequenceOptions)
                                .mask(batch.mask)
                                .referenceLogps(chain.referenceLogps)
                                .inPlace()
                                .run(backend);
                assertArrayEquals(gradient.toDoubles(), inPlace.toDoubles());
                expectMetrics(metrics, again);
            }
        }
    }

    /** The reference's gradient is the slope of its loss, through all of the chain. */
    @Test
    void theReferencesGradientIsTheSlope() {
        Random random = new Random(3);
        double[] logits = random.doubles(2 * 3 * 4, -2, 2).toArray();
        long[] labels = {0, 3, IGNORE, 1, 2, 0};
        SequenceOptions options = new SequenceOptions(Reduction.MEAN, .5, Align.COMPLETION, 1);
        double[] slopes =
                FiniteDifference.gradient(
                        at -> referenceStep(at, labels, options, null).loss(), logits, 1e-3);
        double[] gradient = new double[logits.length];
        StepMetrics metrics = referenceStep(logits, labels, options, gradient);
        Expect.near("gradient", slopes, gradient, 1e-8, 1e-9);
        Expect.exact(
                "grad_norm",
                Math.sqrt(Arrays.stream(gradient).map(g -> g * g).sum()),
                metrics.gradNorm());
    }

    private static StepMetrics referenceStep(
            double[] values, long[] labels, SequenceOptions options, double[] gradient) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = Tensor.of(arena, DType.F64, values, 2, 3, 4);
            PreferenceStep step =
                    PreferenceStep.of(new Dlrml(), logits, Tensor.of(arena, labels, 2, 3))
                            .referenceFree()
                            .sequenceOptions(options);
            if (gradient == null) {
                return step.run(Backend.reference());
            }
            StepMetrics metrics = step.inPlace().run(Backend.reference());
            System.arraycopy(logits.toDoubles(), 0, gradient, 0, gradient.length);
            return metrics;
        }
    }

    /**
     * With nothing to count the loss is that of a margin of 0, the gradient 0, and unread logits
     * may be anything.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void nothingCounts(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            for (Reduction reduction : Reduction.values()) {
                Tensor logits = Tensor.zeros(arena, DType.BF16, 4, 2, 33).fill(Double.NaN);
                Tensor labels =
                        Tensor.of(arena, new long[] {IGNORE, IGNORE, 1, 2, IGNORE, 3, 4, 5}, 4, 2);
                Tensor mask =
                        Tensor.of(
                                arena,
                                new boolean[] {true, true, false, false, true, false, false, false},
                                4,
                                2);
                StepMetrics metrics =
                        PreferenceStep.of(new Dlrml(), logits, labels)
                                .referenceFree()
                                .sequenceOptions(SequenceOptions.DEFAULT.withReduction(reduction))
                                .mask(mask)
                                .inPlace()
                                .run(backend);
                double loss = (1 + Math.log(2)) / 2;
                expectMetrics(new StepMetrics(loss, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), metrics);
                assertArrayEquals(new double[4 * 2 * 33], logits.toDoubles());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void noPairsAndNoTokens(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor none = Tensor.zeros(arena, DType.F32, 0, 3, 5);
            StepMetrics metrics =
                    PreferenceStep.of(new Dlrml(), none, Tensor.zeros(arena, DType.I64, 0, 3))
                            .referenceFree()
                            .inPlace()
                            .run(backend);
            assertEquals(new StepMetrics(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), metrics);
            Tensor empty = Tensor.zeros(arena, DType.F32, 2, 0, 5);
            metrics =
                    PreferenceStep.of(new Sigmoid(), empty, Tensor.zeros(arena, DType.I64, 2, 0))
                            .referenceFree()
                            .inPlace()
                            .run(backend);
            expectMetrics(new StepMetrics(Math.log(2), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), metrics);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void nonfiniteValuesAreCounted(Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = Tensor.zeros(arena, DType.F32, 4, 1, 8);
            logits.setDouble(Double.NaN, 1, 0, 3);
            StepMetrics metrics =
                    PreferenceStep.of(new Dlrml(), logits, Tensor.zeros(arena, DType.I64, 4, 1))
                            .referenceFree()
                            .inPlace()
                            .run(backend);
            // Pair 1 (rows 1 and 3) has a NaN loss, and so NaN gradients.
            assertEquals(1 + 2 * 8, metrics.nonfinite());
        }
    }

    private static void expectMetrics(StepMetrics expected, StepMetrics actual) {
        Expect.near("metrics", numbers(expected), numbers(actual), 2e-5, 0, 1e-6);
        assertEquals(expected.nonfinite(), actual.nonfinite());
    }

    private static double[] numbers(StepMetrics m) {
        return new double[] {
            m.loss(),
            m.rewardsChosen(),
            m.rewardsRejected(),
            m.rewardsMargin(),
            m.rewardsAccuracy(),
            m.entropy(),
            m.tokenAccuracy(),
            m.logitsChosen(),
            m.logitsRejected(),
            m.gradNorm()
        };
    }
}
