package dev.logratio;

import static dev.logratio.Mistake.ARENA;
import static dev.logratio.Mistake.f32;
import static dev.logratio.Mistake.i64;
import static dev.logratio.Mistake.out;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.stream.Stream;

/**
 * Every mistake in a call on sequence log-probs ends in one line that names the argument, before
 * anything is written.
 */
class SequenceMistakesTest {
    private static List<Mistake> mistakes() {
        Tensor mask = Tensor.zeros(ARENA, DType.BOOL, 4, 3).fill(1);
        Tensor weights = f32(4, 3);
        weights.setDouble(Double.NaN, 1, 2);
        SequenceOptions poet = SequenceOptions.DEFAULT.withTailWeight(0);
        return List.of(
                new Mistake(
                        "mask is missing, expected BOOL, U8 or F32 [B,T] or [N]",
                        b -> SequenceLogps.of(f32(4, 3), null).logps(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "mask is I64 [4, 3], expected BOOL, U8 or F32",
                        b ->
                                SequenceLogps.of(f32(4, 3), i64(4, 3))
                                        .logps(out(DType.F32, 4))
                                        .run(b)),
                new Mistake(
                        "mask[1, 2] is NaN, expected a finite number >= 0",
                        b -> SequenceLogps.of(f32(4, 3), weights).logps(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "mask is BOOL [3, 3], expected an even number of sequences as tail_weight"
                                + " is below 1",
                        b ->
                                SequenceLogps.of(f32(3, 3), mask.slice(0, 0, 3))
                                        .sequenceOptions(poet)
                                        .logps(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "token_logps is missing, expected float [B,T] or [N], as logps is wanted",
                        b -> SequenceLogps.of(null, mask).logps(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "grad_logps is missing, expected float [B], as grad_token_logps is given",
                        b ->
                                SequenceLogps.of(null, mask)
                                        .gradTokenLogps(out(DType.F32, 4, 3))
                                        .run(b)),
                new Mistake(
                        "grad_token_logps is missing, expected float [B,T] or [N], as grad_logps is"
                                + " given",
                        b ->
                                SequenceLogps.of(f32(4, 3), mask)
                                        .gradLogps(f32(4))
                                        .logps(out(DType.F32, 4))
                                        .run(b)),
                new Mistake(
                        "token_logps is F32 [4, 2], expected shape [4, 3], as mask is BOOL [4, 3]",
                        b -> SequenceLogps.of(f32(4, 2), mask).logps(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "counts is F32 [3], expected shape [4], as mask is BOOL [4, 3]",
                        b -> SequenceLogps.of(null, mask).counts(out(DType.F32, 3)).run(b)));
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
