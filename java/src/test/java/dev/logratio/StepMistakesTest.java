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
                        "reference_logps is given, expected it absent as loss orpo has no"
                                + " reference",
                        b ->
                                PreferenceStep.of(new Orpo(), step, stepLabels)
                                        .referenceLogps(f32(4))
                                        .losses(out(DType.F32, 2))
                                        .run(b)),
                new Mistake(
                        "reference_token_logps is given, expected it absent as loss sft has no"
                                + " reference",
                        b ->
                                PreferenceStep.of(new Sft(), step, stepLabels)
                                        .referenceTokenLogps(f32(4, 3))
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
