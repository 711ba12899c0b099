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

/** Kept columns that are not as they have to be: one line, before anything is written. */
class KeptMistakesTest {
    private static final long[] OFFSETS = {0, 2, 3, 6};
    private static final long[] IDS = {1, 4, 0, 0, 2, 3};

    private static Tensor of(long... values) {
        return Tensor.of(ARENA, values, values.length);
    }

    private static Mistake forward(String message, Tensor offsets, Tensor ids) {
        return new Mistake(
                message,
                backend ->
                        TokenLogprobs.of(f32(3, 5), i64(3))
                                .logp(out(DType.F32, 3))
                                .outside(out(DType.I64, 1))
                                .keptOffsets(offsets)
                                .keptIds(ids)
                                .run(backend));
    }

    private static Mistake backward(String message, Tensor offsets, Tensor ids) {
        return new Mistake(
                message,
                backend ->
                        TokenLogprobsBackward.of(f32(1, 3, 5), i64(1, 3), f32(1, 3))
                                .gradLogp(f32(1, 3))
                                .gradLogits(out(DType.F32, 1, 3, 5))
                                .keptOffsets(offsets)
                                .keptIds(ids)
                                .run(backend));
    }

    private static List<Mistake> mistakes() {
        return List.of(
                forward(
                        "kept_ids is missing, expected int [M], as kept_offsets is given",
                        of(OFFSETS),
                        null),
                backward(
                        "kept_offsets is missing, expected int [N+1], as kept_ids is given",
                        null,
                        of(IDS)),
                forward("kept_ids is missing, expected int [M], as outside is wanted", null, null),
                new Mistake(
                        "outside is I32 [1], expected I64",
                        b ->
                                TokenLogprobs.of(f32(3, 5), i64(3))
                                        .keptOffsets(of(OFFSETS))
                                        .keptIds(of(IDS))
                                        .outside(out(DType.I32, 1))
                                        .run(b)),
                forward(
                        "kept_offsets is I64 [3], expected shape [4], as logits is F32 [3, 5]",
                        of(0, 2, 6),
                        of(IDS)),
                backward(
                        "kept_offsets is I64 [3], expected shape [4], as logits is F32 [1, 3, 5]",
                        of(0, 2, 6),
                        of(IDS)),
                new Mistake(
                        "labels is I64 [3, 2], expected a label per row, as kept_ids is given",
                        b ->
                                TokenLogprobs.of(f32(3, 5), of(0, 1, 0, 1, 0, 1).reshape(3, 2))
                                        .keptOffsets(of(OFFSETS))
                                        .keptIds(of(IDS))
                                        .lse(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "kept_ids[1] is 4 in row 0, expected a number in [0,4)",
                        b ->
                                TokenLogprobs.of(f32(3, 5), i64(3))
                                        .tokenOptions(TokenOptions.DEFAULT.withVocab(4))
                                        .keptOffsets(of(OFFSETS))
                                        .keptIds(of(IDS))
                                        .lse(out(DType.F32, 3))
                                        .run(b)),
                forward("kept_ids is F32 [6], expected I64 or I32", of(OFFSETS), f32(6)),
                forward(
                        "kept_offsets[0] is 1, expected 0, where row 0 begins",
                        of(1, 2, 3, 6),
                        of(IDS)),
                backward(
                        "kept_offsets[2] is 2, expected more than 2, where row 1 begins",
                        of(0, 2, 2, 6),
                        of(IDS)),
                forward(
                        "kept_offsets[2] is 1, expected more than 2, where row 1 begins",
                        of(0, 2, 1, 6),
                        of(IDS)),
                backward(
                        "kept_offsets[3] is 5, expected 6, as kept_ids is I64 [6]",
                        of(0, 2, 3, 5),
                        of(IDS)),
                forward(
                        "kept_offsets[3] is 7, expected 6, as kept_ids is I64 [6]",
                        of(0, 2, 3, 7),
                        of(IDS)),
                forward(
                        "kept_ids[5] is 5 in row 2, expected a number in [0,5)",
                        of(OFFSETS),
                        of(1, 4, 0, 0, 2, 5)),
                backward(
                        "kept_ids[2] is -1 in row 1, expected a number in [0,5)",
                        of(OFFSETS),
                        of(1, 4, -1, 0, 2, 3)),
                forward(
                        "kept_ids[1] is 1 in row 0, expected more than the 4 before it",
                        of(OFFSETS),
                        of(4, 1, 0, 0, 2, 3)),
                backward(
                        "kept_ids[4] is 0 in row 2, expected more than the 0 before it",
                        of(OFFSETS),
                        of(1, 4, 0, 0, 0, 3)));
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
