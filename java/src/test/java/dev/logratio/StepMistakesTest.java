package dev.logratio;

import static dev.logratio.Mistake.ARENA;
import static dev.logratio.Mistake.f32;
import static dev.logratio.Mistake.i64;
import static dev.logratio.Mistake.out;

import dev.logratio.loss.Aot;
import dev.logratio.loss.Dbaql;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Ipo;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.Sft;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.WeightedLoss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.stream.Stream;

/**
 * Every mistake in a preference step ends in one line that names the argument, before anything is
 * written.
 */
class StepMistakesTest {
    private static List<Mistake> mistakes() {
        Tensor logits = f32(4, 5);
        Tensor labels = i64(4);
        Tensor mask = Tensor.zeros(ARENA, DType.BOOL, 4, 3).fill(1);
        Tensor weights = f32(4, 3);
        weights.setDouble(Double.NaN, 1, 2);
        Tensor step = f32(4, 3, 5);
        Tensor stepLabels = i64(4, 3);
        SequenceOptions means =
                SequenceOptions.DEFAULT.withReduction(SequenceOptions.Reduction.MEAN);
        return List.of(
                new Mistake(
                        "logits is F32 [4, 5], expected shape [2P,T,V], or cu_seqlens with [N,V]",
                        b ->
                                PreferenceStep.of(new Dlrml(), logits, labels)
                                        .referenceFree()
                                        .logps(out(DType.F32, 4))
                                        .run(b)),
                new Mistake(
                        "logits is F32 [3, 3, 5], expected an even first dimension, chosen before"
                                + " rejected",
                        b ->
                                PreferenceStep.of(new Dlrml(), f32(3, 3, 5), i64(3, 3))
                                        .referenceFree()
                                        .logps(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "mask is BOOL [4, 3], expected shape [4, 2], as labels is I64 [4, 2]",
                        b ->
                                PreferenceStep.of(new Dlrml(), f32(4, 2, 5), i64(4, 2))
                                        .referenceFree()
                                        .mask(mask)
                                        .logps(out(DType.F32, 4))
                                        .run(b)),
                new Mistake(
                        "reference_logps and reference_token_logps are both given, expected"
                                + " one of them",
                        b ->
                                PreferenceStep.of(new Dlrml(), step, stepLabels)
                                        .referenceLogps(f32(4))
                                        .referenceTokenLogps(f32(4, 3))
                                        .logps(out(DType.F32, 4))
                                        .run(b)),
                new Mistake(
                        "reference_logps is F32 [2], expected shape [4], as logits is F32 [4, 3,"
                                + " 5]",
                        b ->
                                PreferenceStep.of(new Dlrml(), step, stepLabels)
                                        .referenceLogps(f32(2))
                                        .logps(out(DType.F32, 4))
                                        .run(b)),
                new Mistake(
                        "losses is F32 [4], expected shape [2], as logits is F32 [4, 3, 5]",
                        b ->
                                PreferenceStep.of(new Dlrml(), step, stepLabels)
                                        .referenceFree()
                                        .losses(out(DType.F32, 4))
                                        .run(b)),
                new Mistake(
                        "losses are empty, expected at least one",
                        b -> PreferenceStep.of(List.of(), step, stepLabels).referenceFree()),
                new Mistake(
                        "reduction is mean, expected sum as loss ipo divides by length itself",
                        b ->
                                PreferenceStep.of(new Ipo(), step, stepLabels)
                                        .referenceFree()
                                        .sequenceOptions(means)
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "reduction is mean, expected sum as loss sft divides by length itself",
                        b ->
                                PreferenceStep.of(new Sft(), step, stepLabels)
                                        .sequenceOptions(means)
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "wpo is on, expected it off as the losses of aot belong to ranks, not to"
                                + " pairs",
                        b ->
                                PreferenceStep.of(new Aot(), step, stepLabels)
                                        .referenceFree()
                                        .wpo(true)
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "logits is F32 [2, 3, 5], expected at least 2 pairs, or none, as loss dbaql"
                                + " takes their variance",
                        b ->
                                PreferenceStep.of(new Dbaql(), f32(2, 3, 5), i64(2, 3))
                                        .referenceFree()
                                        .losses(out(DType.F32, 1))
                                        .run(b)),
                new Mistake(
                        "wpo is capped, expected it off as the losses of aot belong to ranks, not"
                                + " to pairs",
                        b ->
                                PreferenceStep.of(new Aot(), step, stepLabels)
                                        .referenceFree()
                                        .wpo(Wpo.CAPPED)
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "pair_weights is given, expected it absent as the losses of aot belong to"
                                + " ranks, not to pairs",
                        b ->
                                PreferenceStep.of(new Aot(), step, stepLabels)
                                        .referenceFree()
                                        .pairWeights(f32(2))
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "pair_weights[1] is -0.5, expected a finite number >= 0",
                        b -> {
                            Tensor wrong = f32(2);
                            wrong.setDouble(-.5, 1);
                            PreferenceStep.of(new Orpo(), step, stepLabels)
                                    .pairWeights(wrong)
                                    .losses(out(DType.F32, 2))
                                    .run(b);
                        }),
                new Mistake(
                        "pair_weights is F32 [4], expected shape [2], as logits is F32 [4, 3, 5]",
                        b ->
                                PreferenceStep.of(new Orpo(), step, stepLabels)
                                        .pairWeights(f32(4))
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "grad_loss is F32 [2], expected shape [1]",
                        b ->
                                PreferenceStep.of(new Orpo(), step, stepLabels)
                                        .gradLoss(f32(2))
                                        .gradLogits(out(DType.F32, 4, 3, 5))
                                        .run(b)),
                new Mistake(
                        "nll_mask is given, expected it absent as loss ipo has no negative"
                                + " log-likelihood",
                        b ->
                                PreferenceStep.of(new Ipo(), step, stepLabels)
                                        .referenceFree()
                                        .nllMask(mask)
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "nll_mask[1, 2] is NaN, expected a finite number >= 0",
                        b ->
                                PreferenceStep.of(new Sft(), step, stepLabels)
                                        .nllMask(weights)
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "token_count is 12.0, expected it absent as no loss is sft or has the"
                                + " option nll token",
                        b ->
                                PreferenceStep.of(new Orpo(), step, stepLabels)
                                        .tokenCount(12)
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "token_count is 0.0, expected a finite number > 0",
                        b -> PreferenceStep.of(new Sft(), step, stepLabels).tokenCount(0)),
                new Mistake(
                        "labels[1, 2] is 5, expected a number in [0,5) or the ignore_index -100",
                        b -> {
                            Tensor wrong = i64(4, 3);
                            wrong.setLong(5, 1, 2);
                            Tensor beside = Tensor.zeros(ARENA, DType.I32, 4, 3).fill(1);
                            beside.setLong(0, 1, 2);
                            PreferenceStep.of(new Orpo(), step, wrong)
                                    .mask(beside)
                                    .nllMask(mask)
                                    .losses(out(DType.F32, 2))
                                    .run(b);
                        }),
                new Mistake(
                        "beta is given as a tensor, expected a single loss with it, not 2",
                        b ->
                                PreferenceStep.of(
                                                List.of(
                                                        new WeightedLoss(new Sigmoid(), 1),
                                                        new WeightedLoss(new Sft(), 1)),
                                                step,
                                                stepLabels)
                                        .referenceFree()
                                        .beta(f32(2).fill(1))
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "beta is given as a tensor, expected a loss with the option beta, not sft",
                        b ->
                                PreferenceStep.of(new Sft(), step, stepLabels)
                                        .beta(f32(2).fill(1))
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "grad_beta is wanted, expected beta as a tensor with it, as loss sigmoid"
                                + " has no gradient by options",
                        b ->
                                PreferenceStep.of(new Sigmoid(), step, stepLabels)
                                        .referenceFree()
                                        .gradBeta(out(DType.F32, 1))
                                        .run(b)),
                new Mistake(
                        "tau is F32 [4], expected shape [1] or [2], as logits is F32 [4, 3, 5]",
                        b ->
                                PreferenceStep.of(new Dlrml(), step, stepLabels)
                                        .referenceFree()
                                        .tau(f32(4).fill(1))
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "tau[0] is 0.0, expected a finite number > 0",
                        b ->
                                PreferenceStep.of(new Dlrml(), step, stepLabels)
                                        .referenceFree()
                                        .tau(f32(2))
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "mask[1, 2] is NaN, expected a finite number >= 0",
                        b ->
                                PreferenceStep.of(new Dlrml(), step, stepLabels)
                                        .referenceFree()
                                        .mask(weights)
                                        .logps(out(DType.F32, 4))
                                        .run(b)));
    }

    static Stream<Arguments> mistakesOnEveryBackend() {
        return Mistake.onEveryBackend(mistakes());
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("mistakesOnEveryBackend")
    void oneLineAndNothingWritten(Backend backend, Mistake mistake) {
        mistake.expect(backend);
    }
}
