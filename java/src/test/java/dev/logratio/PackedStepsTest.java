package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Ipo;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Normalise;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.Sft;
import dev.logratio.loss.WeightedLoss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.stream.Stream;

/** Packed sequences give what padded ones give: what few steps have, and steps of examples. */
class PackedStepsTest {
    private static final int VOCABULARY = 8;
    private static final int[] LENGTHS = {4, 600, 0, 2, 6, 1};

    /** What a step has beside the packing. */
    private record Extra(
            String name, List<WeightedLoss> losses, BiConsumer<PreferenceStep, Inputs> set) {
        @Override
        public String toString() {
            return name;
        }
    }

    private record Inputs(Arena arena, PackedBatch batch, boolean packed) {
        Tensor ofPairs(double... values) {
            return Tensor.of(arena, DType.F64, values, values.length);
        }
    }

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    static Stream<Arguments> extras() {
        WeightedLoss sft = new WeightedLoss(new Sft(), .5);
        WeightedLoss orpo = new WeightedLoss(new Orpo(), 1);
        WeightedLoss cpo = new WeightedLoss(new Cpo(.1, 1, 0, Nll.TOKEN), 1);
        Ipo ipo = new Ipo();
        WeightedLoss full =
                new WeightedLoss(new Ipo(ipo.beta(), Normalise.FULL, ipo.fDivergence()), 1);
        WeightedLoss dlrml = new WeightedLoss(new Dlrml(), 1);
        BiConsumer<PreferenceStep, Inputs> masked =
                (step, in) -> step.nllMask(in.batch.nllMask(in.packed));
        BiConsumer<PreferenceStep, Inputs> weighted =
                (step, in) -> step.pairWeights(in.ofPairs(.5, 2, 1.5));
        return backends()
                .flatMap(
                        backend ->
                                Stream.of(
                                                new Extra("nll_mask", List.of(orpo), masked),
                                                new Extra(
                                                        "nll_mask of all",
                                                        List.of(cpo, sft, dlrml),
                                                        masked.andThen(weighted)),
                                                new Extra(
                                                        "weights of pairs",
                                                        List.of(dlrml, sft),
                                                        weighted),
                                                new Extra(
                                                        "token_count",
                                                        List.of(cpo, sft),
                                                        (step, _) -> step.tokenCount(77)),
                                                new Extra(
                                                        "wpo",
                                                        List.of(dlrml),
                                                        (step, _) -> step.wpo(Wpo.CAPPED)),
                                                new Extra(
                                                        "full counts", List.of(full), (_, _) -> {}),
                                                new Extra(
                                                        "parameters of pairs",
                                                        List.of(new WeightedLoss(ipo, 1)),
                                                        (step, in) ->
                                                                step.beta(in.ofPairs(.1, .3, .2))))
                                        .map(extra -> Arguments.of(backend, extra)));
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("extras")
    void whatFewStepsHave(Backend backend, Extra extra) {
        for (double tailWeight : new double[] {1, .5, 0}) {
            try (Arena arena = Arena.ofConfined()) {
                PackedBatch batch =
                        new PackedBatch(arena, 3, LENGTHS).logits(VOCABULARY, DType.F32);
                Tensor[] padded = outputs(arena, batch, false);
                Tensor[] packed = outputs(arena, batch, true);
                StepMetrics ofPadded = step(backend, arena, batch, extra, tailWeight, padded);
                StepMetrics ofPacked = step(backend, arena, batch, extra, tailWeight, packed);
                assertSame(batch, padded, packed);
                assertEquals(ofPadded, ofPacked);
                assertTrue(ofPadded.gradNorm() > 0);
            }
        }
    }

    private static StepMetrics step(
            Backend backend,
            Arena arena,
            PackedBatch batch,
            Extra extra,
            double tailWeight,
            Tensor[] out) {
        boolean packed = out[GRADIENT].rank() == 2;
        PreferenceStep step =
                PreferenceStep.of(extra.losses, batch.logits(packed), batch.labels(packed))
                        .sequenceOptions(SequenceOptions.DEFAULT.withTailWeight(tailWeight))
                        .mask(batch.mask(packed))
                        .referenceTokenLogps(batch.reference(packed))
                        .cuSeqlens(packed ? batch.cuSeqlens() : null)
                        .losses(out[0].slice(0, 0, LENGTHS.length / 2))
                        .logps(out[1])
                        .counts(out[2])
                        .chosenRewards(out[3].slice(0, 0, LENGTHS.length / 2))
                        .gradLogits(out[GRADIENT]);
        extra.set.accept(step, new Inputs(arena, batch, packed));
        return step.run(backend);
    }

    static Stream<Arguments> unpaired() {
        return backends()
                .flatMap(
                        backend ->
                                TestLosses.all(Loss.Unpaired.class).stream()
                                        .map(loss -> Arguments.of(backend, loss)));
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("unpaired")
    void stepsOfExamples(Backend backend, Loss.Unpaired loss) {
        for (Reduction reduction : Reduction.values()) {
            for (boolean ofTokens : new boolean[] {false, true}) {
                assertSame(backend, loss, reduction, ofTokens, DType.BF16, LENGTHS);
                assertSame(backend, loss, reduction, ofTokens, DType.F32, 3, 0, 5, 1, 1);
            }
        }
    }

    /** Examples without a token, and none at all. */
    @ParameterizedTest
    @MethodSource("backends")
    void noTokens(Backend backend) {
        for (int[] lengths : new int[][] {{0, 0, 0}, {0}, {}}) {
            assertSame(backend, new Kto(), Reduction.MEAN, true, DType.F32, lengths);
        }
    }

    private static void assertSame(
            Backend backend,
            Loss.Unpaired loss,
            Reduction reduction,
            boolean ofTokens,
            DType dtype,
            int... lengths) {
        try (Arena arena = Arena.ofConfined()) {
            PackedBatch batch = new PackedBatch(arena, 2, lengths).logits(VOCABULARY, dtype);
            Tensor[] padded = outputs(arena, batch, false);
            Tensor[] packed = outputs(arena, batch, true);
            assertEquals(
                    step(backend, arena, batch, loss, reduction, ofTokens, padded),
                    step(backend, arena, batch, loss, reduction, ofTokens, packed));
            assertSame(batch, padded, packed);
            boolean counts = Arrays.stream(packed[GRADIENT].toDoubles()).anyMatch(x -> x != 0);
            assertEquals(Arrays.stream(lengths).sum() > 0, counts);
        }
    }

    private static UnpairedStepMetrics step(
            Backend backend,
            Arena arena,
            PackedBatch batch,
            Loss.Unpaired loss,
            Reduction reduction,
            boolean ofTokens,
            Tensor[] out) {
        boolean packed = out[GRADIENT].rank() == 2;
        boolean[] chosen = new boolean[batch.sequences()];
        double[] weights = new double[batch.sequences()];
        for (int b = 0; b < chosen.length; b++) {
            chosen[b] = b % 2 == 0;
            weights[b] = 1 + .25 * b;
        }
        UnpairedStep step =
                UnpairedStep.of(
                                loss,
                                batch.logits(packed),
                                batch.labels(packed),
                                Tensor.of(arena, chosen, chosen.length))
                        .sequenceOptions(SequenceOptions.DEFAULT.withReduction(reduction))
                        .cuSeqlens(packed ? batch.cuSeqlens() : null)
                        .mask(batch.mask(packed))
                        .weights(Tensor.of(arena, DType.F64, weights, weights.length))
                        .losses(out[0])
                        .logps(out[1])
                        .counts(out[2])
                        .rewards(out[3])
                        .gradLogits(out[GRADIENT]);
        return (ofTokens
                        ? step.referenceTokenLogps(batch.reference(packed))
                        : step.referenceLogps(batch.upstream()))
                .run(backend);
    }

    // ---- Outputs ----

    private static final int GRADIENT = 4;

    /** Four of sequences, and the gradient. */
    private static Tensor[] outputs(Arena arena, PackedBatch batch, boolean packed) {
        Tensor[] all = new Tensor[GRADIENT + 1];
        Arrays.setAll(all, _ -> Tensor.zeros(arena, DType.F64, batch.sequences()));
        Tensor logits = batch.logits(packed);
        all[GRADIENT] = Tensor.zeros(arena, logits.dtype(), logits.shape()).fill(Double.NaN);
        return all;
    }

    private static void assertSame(PackedBatch batch, Tensor[] padded, Tensor[] packed) {
        for (int k = 0; k < GRADIENT; k++) {
            assertArrayEquals(padded[k].toDoubles(), packed[k].toDoubles(), "output " + k);
        }
        assertArrayEquals(
                batch.tokensOf(padded[GRADIENT], VOCABULARY, false),
                batch.tokensOf(packed[GRADIENT], VOCABULARY, true),
                "gradient");
    }
}
