package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.SequenceOptions.Align;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Sft;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.WeightedLoss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/** Packed sequences give what padded ones give, to the bit. */
class PackedTest {
    private static final SequenceOptions SUM = SequenceOptions.DEFAULT;

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    static Stream<Arguments> losses() {
        return backends()
                .flatMap(
                        backend ->
                                TestLosses.all().stream().map(loss -> Arguments.of(backend, loss)));
    }

    /** All sums, tails and alignments. */
    private static List<SequenceOptions> sequenceOptions() {
        List<SequenceOptions> all = new ArrayList<>();
        for (Reduction reduction : Reduction.values()) {
            all.add(SUM.withReduction(reduction));
            for (Align align : Align.values()) {
                all.add(new SequenceOptions(reduction, .5, align, 1));
                all.add(new SequenceOptions(reduction, 0, align, .6));
            }
        }
        return all;
    }

    @ParameterizedTest
    @MethodSource("backends")
    void sequencesOfAnyLength(Backend backend) {
        int[] lengths =
                TestBackends.isSlow(backend)
                        ? new int[] {3, 0, 700, 1, 0, 513, 300, 0}
                        : new int[] {3, 0, 7000, 1, 0, 513, 300, 0};
        for (SequenceOptions options : sequenceOptions()) {
            for (int padding : new int[] {0, 1, 555}) {
                try (Arena arena = Arena.ofConfined()) {
                    PackedBatch batch = new PackedBatch(arena, padding, lengths);
                    double[] padded = reduced(backend, batch, options, false);
                    double[] packed = reduced(backend, batch, options, true);
                    assertArrayEquals(padded, packed, options + ", padding " + padding);
                }
            }
        }
    }

    /** Log-probs, counts, and the gradient at the tokens. */
    private static double[] reduced(
            Backend backend, PackedBatch batch, SequenceOptions options, boolean packed) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logps = Tensor.zeros(arena, DType.F64, batch.sequences());
            Tensor counts = Tensor.zeros(arena, DType.F64, batch.sequences());
            Tensor tokens = batch.reference(packed);
            Tensor gradient = Tensor.zeros(arena, DType.F64, tokens.shape()).fill(Double.NaN);
            SequenceLogps call =
                    SequenceLogps.of(tokens, batch.mask(packed))
                            .sequenceOptions(options)
                            .gradLogps(batch.upstream())
                            .logps(logps)
                            .counts(counts)
                            .gradTokenLogps(gradient);
            (packed ? call.cuSeqlens(batch.cuSeqlens()) : call).run(backend);
            return concatenated(
                    logps.toDoubles(), counts.toDoubles(), batch.tokensOf(gradient, 1, packed));
        }
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void everyLoss(Backend backend, Loss.Paired loss) {
        List<WeightedLoss> losses = StepRun.one(loss);
        for (Align align : Align.values()) {
            SequenceOptions options = new SequenceOptions(Reduction.SUM, .5, align, .8);
            assertSame(backend, losses, options, 8, DType.F32, 4, 6, 0, 2, 6, 1);
        }
    }

    /** Figures of tokens beside those of sequences, in the types of logits. */
    @ParameterizedTest
    @MethodSource("backends")
    void lossesOfTokens(Backend backend) {
        List<WeightedLoss> losses =
                List.of(
                        new WeightedLoss(new Sft(), .5),
                        new WeightedLoss(new Cpo(.1, 1, 0, Nll.TOKEN), 1),
                        new WeightedLoss(new Sigmoid(), -2));
        for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
            for (SequenceOptions options : sequenceOptions()) {
                if (options.reduction() == Reduction.SUM) {
                    assertSame(backend, losses, options, 16, dtype, 4, 6, 0, 2, 6, 1);
                }
            }
        }
    }

    /** More tokens than a block of a GPU has threads for, rows of a warp and of a block. */
    @ParameterizedTest
    @MethodSource("backends")
    void longSequences(Backend backend) {
        for (Align align : Align.values()) {
            SequenceOptions options = new SequenceOptions(Reduction.MEAN, .25, align, 1);
            List<WeightedLoss> dlrml = StepRun.one(new Dlrml());
            assertSame(backend, dlrml, options, 4, DType.F32, 600, 513, 0, 1100, 1, 512);
            assertSame(backend, dlrml, options, 1280, DType.F32, 7, 150, 0, 64, 1, 70);
        }
    }

    /** Batches of sequences without a token, and none at all. */
    @ParameterizedTest
    @MethodSource("backends")
    void nothing(Backend backend) {
        for (SequenceOptions options : sequenceOptions()) {
            assertSame(backend, StepRun.one(new Sigmoid()), options, 4, DType.F32, 0, 0);
            assertSame(backend, StepRun.one(new Sigmoid()), options, 4, DType.F32, 0, 3);
            assertSame(backend, StepRun.one(new Sigmoid()), options, 4, DType.F32);
        }
    }

    private static void assertSame(
            Backend backend,
            List<WeightedLoss> losses,
            SequenceOptions options,
            int vocabulary,
            DType dtype,
            int... lengths) {
        for (boolean ofTokens : new boolean[] {false, true}) {
            for (int padding : new int[] {0, 3}) {
                try (Arena arena = Arena.ofConfined()) {
                    PackedBatch batch =
                            new PackedBatch(arena, padding, lengths).logits(vocabulary, dtype);
                    Stepped padded = step(backend, batch, losses, options, ofTokens, false);
                    Stepped packed = step(backend, batch, losses, options, ofTokens, true);
                    String what = options + ", " + dtype + ", padding " + padding;
                    assertArrayEquals(padded.numbers, packed.numbers, what);
                    assertEquals(padded.metrics, packed.metrics, what);
                    boolean counts = Arrays.stream(padded.numbers).anyMatch(x -> x != 0);
                    assertTrue(counts || Arrays.stream(lengths).sum() == 0, what);
                }
            }
        }
    }

    static Stream<Arguments> unpairedLosses() {
        return backends()
                .flatMap(
                        backend ->
                                TestLosses.all(Loss.Unpaired.class).stream()
                                        .map(loss -> Arguments.of(backend, loss)));
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("unpairedLosses")
    void everyUnpairedLoss(Backend backend, Loss.Unpaired loss) {
        int[][] batches = {{4, 6, 0, 2, 1}, {0}, {}, {600, 3, 513}};
        for (Reduction reduction : Reduction.values()) {
            for (int[] lengths : batches) {
                try (Arena arena = Arena.ofConfined()) {
                    PackedBatch batch = new PackedBatch(arena, 3, lengths).logits(8, DType.F32);
                    SequenceOptions options = SUM.withReduction(reduction);
                    for (boolean ofTokens : new boolean[] {false, true}) {
                        Examples padded =
                                Examples.of(backend, batch, loss, options, ofTokens, false);
                        Examples packed =
                                Examples.of(backend, batch, loss, options, ofTokens, true);
                        assertArrayEquals(padded.numbers, packed.numbers);
                        assertEquals(padded.metrics, packed.metrics);
                    }
                }
            }
        }
    }

    private record Examples(double[] numbers, UnpairedStepMetrics metrics) {
        static Examples of(
                Backend backend,
                PackedBatch batch,
                Loss.Unpaired loss,
                SequenceOptions options,
                boolean ofTokens,
                boolean packed) {
            try (Arena arena = Arena.ofConfined()) {
                int examples = batch.sequences();
                Tensor chosen = Tensor.zeros(arena, DType.BOOL, examples);
                for (int b = 0; b < examples; b += 2) {
                    chosen.setLong(1, b);
                }
                Tensor losses = Tensor.zeros(arena, DType.F64, examples);
                Tensor rewards = Tensor.zeros(arena, DType.F64, examples);
                Tensor counts = Tensor.zeros(arena, DType.F64, examples);
                Tensor logits = batch.logits(packed);
                Tensor gradient =
                        Tensor.zeros(arena, logits.dtype(), logits.shape()).fill(Double.NaN);
                UnpairedStepMetrics metrics =
                        UnpairedStep.of(loss, logits, batch.labels(packed), chosen)
                                .cuSeqlens(packed ? batch.cuSeqlens() : null)
                                .sequenceOptions(options)
                                .mask(batch.mask(packed))
                                .referenceLogps(ofTokens ? null : batch.upstream())
                                .referenceTokenLogps(ofTokens ? batch.reference(packed) : null)
                                .losses(losses)
                                .rewards(rewards)
                                .counts(counts)
                                .gradLogits(gradient)
                                .run(backend);
                return new Examples(
                        concatenated(
                                losses.toDoubles(),
                                rewards.toDoubles(),
                                counts.toDoubles(),
                                batch.tokensOf(gradient, batch.vocabulary(), packed)),
                        metrics);
            }
        }
    }

    private record Stepped(double[] numbers, StepMetrics metrics) {}

    private static Stepped step(
            Backend backend,
            PackedBatch batch,
            List<WeightedLoss> losses,
            SequenceOptions options,
            boolean ofTokens,
            boolean packed) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor values = Tensor.zeros(arena, DType.F64, batch.sequences() / 2);
            Tensor logps = Tensor.zeros(arena, DType.F64, batch.sequences());
            Tensor counts = Tensor.zeros(arena, DType.F64, batch.sequences());
            Tensor logits = batch.logits(packed);
            Tensor gradient = Tensor.zeros(arena, logits.dtype(), logits.shape()).fill(Double.NaN);
            PreferenceStep call =
                    PreferenceStep.of(losses, logits, batch.labels(packed))
                            .sequenceOptions(summed(losses, options))
                            .mask(batch.mask(packed))
                            .losses(values)
                            .logps(logps)
                            .counts(counts)
                            .gradLogits(gradient);
            if (packed) {
                call.cuSeqlens(batch.cuSeqlens());
            }
            boolean free =
                    losses.stream()
                            .allMatch(
                                    term ->
                                            term.loss() instanceof Loss.ReferenceFree
                                                    || term.loss() instanceof Loss.Auxiliary);
            if (!free && ofTokens) {
                call.referenceTokenLogps(batch.reference(packed));
            } else if (!free) {
                call.referenceLogps(batch.upstream());
            }
            StepMetrics metrics = call.run(backend);
            // Rows of padding are among those that get zeros.
            double[] numbers =
                    concatenated(
                            values.toDoubles(),
                            logps.toDoubles(),
                            counts.toDoubles(),
                            batch.tokensOf(gradient, batch.vocabulary(), packed));
            return new Stepped(numbers, metrics);
        }
    }

    private static SequenceOptions summed(List<WeightedLoss> losses, SequenceOptions options) {
        boolean divides = losses.stream().anyMatch(term -> term.loss().dividesByLength());
        return divides ? options.withReduction(Reduction.SUM) : options;
    }

    private static double[] concatenated(double[]... parts) {
        return Arrays.stream(parts).flatMapToDouble(Arrays::stream).toArray();
    }
}
