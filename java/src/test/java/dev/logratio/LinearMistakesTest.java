package dev.logratio;

import static dev.logratio.Mistake.ARENA;
import static dev.logratio.Mistake.f32;
import static dev.logratio.Mistake.i64;
import static dev.logratio.Mistake.out;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.logratio.loss.Kto;
import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Every mistake in a linear operation ends in one line that names the argument, before anything is
 * written.
 */
class LinearMistakesTest {
    private static final int VOCABULARY = 611;
    private static final int SIZE = 37;

    private static Tensor of(DType dtype, long... shape) {
        return Tensor.zeros(ARENA, dtype, shape);
    }

    /** A step of one pair of two tokens, right but for what is done to it. */
    private static Mistake step(String message, Consumer<LinearPreferenceStep> spoil) {
        return new Mistake(
                message,
                backend -> {
                    LinearPreferenceStep step =
                            LinearPreferenceStep.of(
                                            new Sigmoid(),
                                            f32(2, 2, SIZE),
                                            f32(VOCABULARY, SIZE),
                                            i64(2, 2))
                                    .bias(f32(VOCABULARY))
                                    .referenceLogps(f32(2))
                                    .losses(out(DType.F32, 1))
                                    .gradHidden(out(DType.F32, 2, 2, SIZE))
                                    .gradWeight(out(DType.F32, VOCABULARY, SIZE))
                                    .gradBias(out(DType.F32, VOCABULARY));
                    spoil.accept(step);
                    step.run(backend);
                });
    }

    private static Mistake tokens(
            String message, Tensor hidden, Tensor weight, Consumer<LinearTokenLogprobs> spoil) {
        return new Mistake(
                message,
                backend -> {
                    LinearTokenLogprobs call =
                            LinearTokenLogprobs.of(hidden, weight, i64(4)).logp(out(DType.F32, 4));
                    spoil.accept(call);
                    call.run(backend);
                });
    }

    private static List<Mistake> mistakes() {
        Tensor hidden = f32(4, SIZE);
        Tensor weight = f32(VOCABULARY, SIZE);
        LinearOptions options = LinearOptions.DEFAULT;
        return List.of(
                // ---- What goes together ----
                tokens(
                        "weight is F32 [611, 37], expected BF16 as hidden",
                        of(DType.BF16, 4, SIZE),
                        weight,
                        call -> {}),
                tokens(
                        "weight is F32 [611, 36], expected shape [611, 37], as hidden is F32 [4,"
                                + " 37]",
                        hidden,
                        f32(VOCABULARY, 36),
                        call -> {}),
                tokens(
                        "bias is F32 [610], expected shape [611], as weight is F32 [611, 37]",
                        hidden,
                        weight,
                        call -> call.bias(f32(610))),
                tokens(
                        "hidden is F32 [4, 0], expected a hidden size of at least 1",
                        f32(4, 0),
                        f32(VOCABULARY, 0),
                        call -> {}),
                tokens(
                        "weight is F32 [0, 37], expected a vocabulary of at least 1",
                        hidden,
                        f32(0, SIZE),
                        call -> {}),
                tokens(
                        "vocab is 612, expected at most the 611 columns of logits",
                        hidden,
                        weight,
                        call -> call.tokenOptions(TokenOptions.DEFAULT.withVocab(612))),
                // ---- Gradients ----
                tokens(
                        "grad_logp, grad_entropy and grad_lse are missing, expected at least one"
                                + " of them",
                        hidden,
                        weight,
                        call -> call.gradWeight(out(DType.F32, VOCABULARY, SIZE))),
                tokens(
                        "bias is missing, expected float [V], as grad_bias is wanted",
                        hidden,
                        weight,
                        call -> call.gradLogp(f32(4)).gradBias(out(DType.F32, VOCABULARY))),
                tokens(
                        "grad_hidden is BF16 [4, 37], expected F32 as hidden",
                        hidden,
                        weight,
                        call -> call.gradLogp(f32(4)).gradHidden(out(DType.BF16, 4, SIZE))),
                tokens(
                        "grad_weight is F16 [611, 37], expected F32 or BF16 as weight",
                        of(DType.BF16, 4, SIZE),
                        of(DType.BF16, VOCABULARY, SIZE),
                        call -> call.gradLogp(f32(4)).gradWeight(out(DType.F16, VOCABULARY, SIZE))),
                tokens(
                        "grad_hidden F32 [4, 37] overlaps hidden F32 [4, 37], expected memory of"
                                + " its own",
                        hidden,
                        weight,
                        call -> call.gradLogp(f32(4)).gradHidden(hidden)),
                tokens(
                        "grad_weight F32 [611, 37] overlaps weight F32 [611, 37], expected memory"
                                + " of its own",
                        hidden,
                        weight,
                        call -> call.gradLogp(f32(4)).gradWeight(weight)),
                step(
                        "grad_weight is there, expected it absent as frozen is weight",
                        step -> step.linearOptions(options.withFrozen(Frozen.WEIGHT))),
                step(
                        "grad_bias is there, expected it absent as frozen is weight",
                        step ->
                                step.linearOptions(options.withFrozen(Frozen.WEIGHT))
                                        .gradWeight(null)),
                step(
                        "grad_hidden is there, expected it absent as frozen is hidden",
                        step -> step.linearOptions(options.withFrozen(Frozen.HIDDEN))),
                // ---- The budget ----
                step(
                        "budget_bytes is 100, expected at least 2444, the logits of a row",
                        step -> step.linearOptions(options.withBudgetBytes(100))),
                step(
                        "budget_bytes is 39, expected at least 40, the logits of a row",
                        step ->
                                step.tokenOptions(TokenOptions.DEFAULT.withVocab(10))
                                        .linearOptions(options.withBudgetBytes(39))),
                // ---- References ----
                step(
                        "reference_logps and reference_hidden are both given, expected one of them",
                        step -> step.referenceHead(f32(2, 2, SIZE), weight)),
                step(
                        "reference_weight is missing, expected float [V,H], as reference_hidden is"
                                + " given",
                        step -> step.referenceLogps(null).referenceHead(f32(2, 2, SIZE), null)),
                step(
                        "reference_hidden is missing, expected float [2P,T,H] or [N,H], as"
                                + " reference_bias is given",
                        step -> step.referenceBias(f32(VOCABULARY))),
                step(
                        "reference_weight is F32 [611, 36], expected shape [611, 37], as weight is"
                                + " F32 [611, 37]",
                        step ->
                                step.referenceLogps(null)
                                        .referenceHead(f32(2, 2, SIZE), f32(VOCABULARY, 36))),
                step(
                        "reference_hidden is BF16 [2, 2, 37], expected F32 as hidden",
                        step ->
                                step.referenceLogps(null)
                                        .referenceHead(of(DType.BF16, 2, 2, SIZE), weight)),
                step(
                        "reference_logps, reference_token_logps or reference_hidden is missing,"
                                + " expected one of them, or referenceFree()",
                        step -> step.referenceLogps(null)),
                new Mistake(
                        "hidden is F32 [4, 37], expected shape [B,T,H], or cu_seqlens with [N,H]",
                        backend ->
                                LinearUnpairedStep.of(
                                                new Kto(),
                                                hidden,
                                                weight,
                                                i64(4),
                                                of(DType.BOOL, 4))
                                        .referenceLogps(f32(4))
                                        .losses(out(DType.F32, 4))
                                        .run(backend)));
    }

    static Stream<Arguments> mistakesOnEveryBackend() {
        return Mistake.onEveryBackend(mistakes());
    }

    @ParameterizedTest
    @MethodSource("mistakesOnEveryBackend")
    void mistakesAreNamed(Backend backend, Mistake mistake) {
        mistake.expect(backend);
    }

    @Test
    void budgetsBelowOne() {
        assertEquals(
                "budget_bytes is 0, expected a number >= 1",
                assertThrows(
                                IllegalArgumentException.class,
                                () -> LinearOptions.DEFAULT.withBudgetBytes(0))
                        .getMessage());
    }

    @Test
    void noPlanBeforeARun() {
        LinearTokenLogprobs call = LinearTokenLogprobs.of(f32(1, 1), f32(1, 1), i64(1));
        assertEquals(
                "linear_token_logprobs has no plan before it has run",
                assertThrows(IllegalStateException.class, call::plan).getMessage());
    }
}
