package dev.logratio;

import static dev.logratio.Mistake.ARENA;
import static dev.logratio.Mistake.f32;
import static dev.logratio.Mistake.i64;
import static dev.logratio.Mistake.out;

import dev.logratio.loss.Bco;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * Every mistake in an unpaired step ends in one line that names the argument, before anything is
 * written.
 */
class UnpairedStepMistakesTest {
    /** A step that is right but for the mistake made in it. */
    private static Mistake mistake(
            String message, Loss.Unpaired loss, UnaryOperator<UnpairedStep> make) {
        return new Mistake(
                message,
                b -> {
                    UnpairedStep step =
                            UnpairedStep.of(
                                            loss,
                                            f32(3, 2, 5),
                                            i64(3, 2),
                                            Tensor.zeros(ARENA, DType.BOOL, 3))
                                    .referenceLogps(f32(3))
                                    .losses(out(DType.F32, 3))
                                    .gradLogits(out(DType.F32, 3, 2, 5));
                    make.apply(step).run(b);
                });
    }

    private static List<Mistake> mistakes() {
        Tensor negative = f32(3);
        negative.setDouble(-1, 2);
        Tensor endless = f32(3);
        endless.setDouble(Double.POSITIVE_INFINITY, 1);
        return List.of(
                new Mistake(
                        "chosen is missing, expected BOOL or U8 [B]",
                        b ->
                                UnpairedStep.of(new Kto(), f32(3, 2, 5), i64(3, 2), null)
                                        .referenceLogps(f32(3))
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "chosen is F32 [3], expected BOOL or U8",
                        b ->
                                UnpairedStep.of(new Kto(), f32(3, 2, 5), i64(3, 2), f32(3))
                                        .referenceLogps(f32(3))
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "labels[2, 1] is 5, expected a number in [0,5) or the ignore_index -100",
                        b -> {
                            Tensor labels = i64(3, 2);
                            labels.setLong(5, 2, 1);
                            UnpairedStep.of(
                                            new Kto(),
                                            f32(3, 2, 5),
                                            labels,
                                            Tensor.zeros(ARENA, DType.U8, 3))
                                    .referenceLogps(f32(3))
                                    .losses(out(DType.F32, 3))
                                    .run(b);
                        }),
                mistake(
                        "reference_logps or reference_token_logps is missing, expected one of them",
                        new Kto(),
                        step -> step.referenceLogps(null)),
                mistake(
                        "reference_logps and reference_token_logps are both given, expected one of"
                                + " them",
                        new Kto(),
                        step -> step.referenceTokenLogps(f32(3, 2))),
                mistake(
                        "tail_weight is 0.5, expected 1 as examples are not paired",
                        new Kto(),
                        step -> step.sequenceOptions(SequenceOptions.DEFAULT.withTailWeight(.5))),
                mistake(
                        "kl_reference_logps is missing, expected float [C], as kl_policy_logps is"
                                + " given",
                        new Kto(),
                        step -> step.klLogps(f32(2), null)),
                mistake(
                        "kl_reference_logps is F32 [3], expected shape [4], as kl_policy_logps is"
                                + " F32 [4]",
                        new Kto(),
                        step -> step.klLogps(f32(4), f32(3))),
                mistake(
                        "kl_policy_logps is given, expected it only with the loss kto, not bco",
                        new Bco(),
                        step -> step.klLogps(f32(2), f32(2))),
                mistake(
                        "weights is F32 [2], expected shape [3], as chosen is BOOL [3]",
                        new Bco(),
                        step -> step.weights(f32(2))),
                mistake(
                        "weights[2] is -1.0, expected a finite number >= 0",
                        new Bco(),
                        step -> step.weights(negative)),
                mistake(
                        "weights[1] is Infinity, expected a finite number >= 0",
                        new Bco(),
                        step -> step.weights(endless)),
                mistake(
                        "grad_loss is F32 [3], expected shape [1]",
                        new Bco(),
                        step -> step.gradLoss(f32(3))),
                mistake(
                        "kl is F32 [3], expected shape [1]",
                        new Bco(),
                        step -> step.kl(out(DType.F32, 3))),
                mistake(
                        "rewards is F32 [4], expected shape [3], as chosen is BOOL [3]",
                        new Bco(),
                        step -> step.rewards(out(DType.F32, 4))));
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
