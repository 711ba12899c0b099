package dev.logratio;

import static dev.logratio.Mistake.ARENA;
import static dev.logratio.Mistake.f32;
import static dev.logratio.Mistake.out;

import dev.logratio.loss.Bco;
import dev.logratio.loss.Kto;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.stream.Stream;

/**
 * Every mistake in a call of an unpaired loss ends in one line that names the argument, before
 * anything is written.
 */
class UnpairedMistakesTest {
    private static List<Mistake> mistakes() {
        Tensor pairs = f32(3);
        Tensor flags = Tensor.zeros(ARENA, DType.BOOL, 3);
        return List.of(
                new Mistake(
                        "policy_logps is missing, expected float [B]",
                        b ->
                                UnpairedLoss.of(new Kto(), null, pairs, flags)
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "reference_logps is F32 [4], expected shape [3], as policy_logps is F32"
                                + " [3]",
                        b ->
                                UnpairedLoss.of(new Kto(), pairs, f32(4), flags)
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "chosen is missing, expected BOOL or U8 [B]",
                        b ->
                                UnpairedLoss.of(new Kto(), pairs, pairs, null)
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "chosen is F32 [3], expected BOOL or U8",
                        b ->
                                UnpairedLoss.of(new Kto(), pairs, pairs, pairs)
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "kl_reference_logps is missing, expected float [C], as kl_policy_logps is"
                                + " given",
                        b ->
                                UnpairedLoss.of(new Kto(), pairs, pairs, flags)
                                        .klLogps(pairs, null)
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "kl_reference_logps is F32 [3], expected shape [4], as kl_policy_logps is"
                                + " F32 [4]",
                        b ->
                                UnpairedLoss.of(new Kto(), pairs, pairs, flags)
                                        .klLogps(f32(4), pairs)
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "kl_policy_logps is given, expected it only with the loss kto, not bco",
                        b ->
                                UnpairedLoss.of(new Bco(), pairs, pairs, flags)
                                        .klLogps(pairs, pairs)
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "kl is F32 [3], expected shape [1]",
                        b ->
                                UnpairedLoss.of(new Bco(), pairs, pairs, flags)
                                        .kl(out(DType.F32, 3))
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
