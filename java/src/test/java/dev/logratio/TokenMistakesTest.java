package dev.logratio;

import static dev.logratio.Mistake.ARENA;
import static dev.logratio.Mistake.f32;
import static dev.logratio.Mistake.i64;
import static dev.logratio.Mistake.out;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.stream.Stream;

/**
 * Every mistake in a call on token log-probs, forward or backward, ends in one line that names the
 * argument, before anything is written.
 */
class TokenMistakesTest {
    private static List<Mistake> mistakes() {
        Tensor logits = f32(4, 5);
        Tensor labels = i64(4);
        Tensor seven = i64(4);
        seven.setLong(7, 2);
        Tensor matrix = f32(4, 10);
        Tensor everySecond =
                Tensor.wrap(matrix.segment(), DType.F32, new long[] {4, 5}, new long[] {10, 2});
        Tensor half = logits.slice(0, 0, 2);
        Tensor readOnly = Tensor.wrap(f32(4).segment().asReadOnly(), DType.F32, 4);
        Tensor broadcast = Tensor.wrap(f32(4).segment(), DType.F32, new long[] {4}, new long[] {0});
        return List.of(
                new Mistake(
                        "logits is missing, expected float [N,V] or [B,T,V]",
                        b -> TokenLogprobs.of(null, labels).logp(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "labels is missing, expected int [N], [B,T], [N,K] or [B,T,K]",
                        b -> TokenLogprobs.of(logits, null).logp(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "logits is F32 [4], expected shape [N,V] or [B,T,V]",
                        b -> TokenLogprobs.of(f32(4), labels).logp(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "logits is F32 [4, 0], expected a vocabulary of at least 1",
                        b -> TokenLogprobs.of(f32(4, 0), labels).logp(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "logits is F32 [4, 5], expected a contiguous last dimension, not a stride"
                                + " of 2",
                        b -> TokenLogprobs.of(everySecond, labels).logp(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "labels is F32 [4], expected I64 or I32",
                        b -> TokenLogprobs.of(logits, f32(4)).logp(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "labels is I64 [3], expected shape [4], as logits is F32 [4, 5]",
                        b -> TokenLogprobs.of(logits, i64(3)).logp(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "labels[2] is 7, expected a number in [0,5) or the ignore_index -100",
                        b -> TokenLogprobs.of(logits, seven).logp(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "labels is I64 [4, 6], expected 1 to 5 labels per row",
                        b -> TokenLogprobs.of(logits, i64(4, 6)).lse(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "labels is I64 [4, 0], expected 1 to 5 labels per row",
                        b -> TokenLogprobs.of(logits, i64(4, 0)).lse(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "labels[0, 1] is 0 once more, expected no label twice in a row",
                        b -> TokenLogprobs.of(logits, i64(4, 2)).lse(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "logp is F32 [4], expected shape [4, 1], as labels is I64 [4, 1]",
                        b -> TokenLogprobs.of(logits, i64(4, 1)).logp(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "tail is there, expected labels [N,K] or [B,T,K] with it",
                        b -> TokenLogprobs.of(logits, labels).tail(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "vocab is 6, expected at most the 5 columns of logits",
                        b ->
                                TokenLogprobs.of(logits, labels)
                                        .tokenOptions(TokenOptions.DEFAULT.withVocab(6))
                                        .lse(out(DType.F32, 4))
                                        .run(b)),
                new Mistake(
                        "labels[2] is 7, expected a number in [0,3) or the ignore_index -100",
                        b ->
                                TokenLogprobs.of(f32(4, 9), seven)
                                        .tokenOptions(TokenOptions.DEFAULT.withVocab(3))
                                        .lse(out(DType.F32, 4))
                                        .run(b)),
                new Mistake(
                        "logp is I64 [4], expected F64, F32, BF16 or F16",
                        b ->
                                TokenLogprobs.of(logits, labels)
                                        .lse(out(DType.F32, 4))
                                        .logp(out(DType.I64, 4))
                                        .run(b)),
                new Mistake(
                        "entropy is F32 [5], expected shape [4], as labels is I64 [4]",
                        b ->
                                TokenLogprobs.of(logits, labels)
                                        .lse(out(DType.F32, 4))
                                        .entropy(out(DType.F32, 5))
                                        .run(b)),
                new Mistake(
                        "argmax is F32 [4], expected I64 or I32",
                        b -> TokenLogprobs.of(logits, labels).argmax(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "logp is F32 [4] in read-only memory, expected memory to write to",
                        b -> TokenLogprobs.of(logits, labels).logp(readOnly).run(b)),
                new Mistake(
                        "logp is F32 [4] with elements that share memory, expected memory for each"
                                + " element",
                        b -> TokenLogprobs.of(logits, labels).logp(broadcast).run(b)),
                new Mistake(
                        "logp F32 [4] overlaps logits F32 [4, 5], expected memory of its own",
                        b -> TokenLogprobs.of(logits, labels).logp(logits.select(1, 2)).run(b)),
                new Mistake(
                        "grad_logp, grad_entropy, grad_lse and grad_tail are missing, expected at"
                                + " least one of them",
                        b ->
                                TokenLogprobsBackward.of(logits, labels, f32(4))
                                        .gradLogits(out(DType.F32, 4, 5))
                                        .run(b)),
                new Mistake(
                        "lse is missing, expected float [N] or [B,T]",
                        b ->
                                TokenLogprobsBackward.of(logits, labels, null)
                                        .gradLogp(f32(4))
                                        .gradLogits(out(DType.F32, 4, 5))
                                        .run(b)),
                new Mistake(
                        "entropy is missing, expected float [N] or [B,T], as grad_entropy is given",
                        b ->
                                TokenLogprobsBackward.of(logits, labels, f32(4))
                                        .gradEntropy(f32(4))
                                        .gradLogits(out(DType.F32, 4, 5))
                                        .run(b)),
                new Mistake(
                        "tail is missing, expected float [N] or [B,T], as grad_tail is given",
                        b ->
                                TokenLogprobsBackward.of(logits, i64(4, 1), f32(4))
                                        .gradTail(f32(4))
                                        .gradLogits(out(DType.F32, 4, 5))
                                        .run(b)),
                new Mistake(
                        "tail is there, expected labels [N,K] or [B,T,K] with it",
                        b ->
                                TokenLogprobsBackward.of(logits, labels, f32(4))
                                        .tail(f32(4))
                                        .gradTail(f32(4))
                                        .gradLogits(out(DType.F32, 4, 5))
                                        .run(b)),
                new Mistake(
                        "grad_logits is missing, expected the shape and dtype of logits",
                        b ->
                                TokenLogprobsBackward.of(logits, labels, f32(4))
                                        .gradLogp(f32(4))
                                        .run(b)),
                new Mistake(
                        "grad_logits is BF16 [4, 5], expected F32 [4, 5], as logits",
                        b ->
                                TokenLogprobsBackward.of(logits, labels, f32(4))
                                        .gradLogp(f32(4))
                                        .gradLogits(out(DType.BF16, 4, 5))
                                        .run(b)),
                new Mistake(
                        "grad_logits F32 [2, 5] overlaps logits F32 [2, 5], expected exactly that"
                                + " tensor or memory of its own",
                        b ->
                                TokenLogprobsBackward.of(half, i64(2), f32(2))
                                        .gradLogp(f32(2))
                                        .gradLogits(logits.slice(0, 1, 3))
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

    @Test
    void onlyTheReferenceTakesDoubleLogits() {
        Tensor logits = Tensor.zeros(ARENA, DType.F64, 4, 5);
        TokenLogprobs call = TokenLogprobs.of(logits, i64(4)).logp(f32(4));
        call.run(Backend.reference());
        IllegalArgumentException thrown =
                assertThrows(IllegalArgumentException.class, () -> call.run(TestBackends.cpu()));
        assertEquals("logits is F64 [4, 5], expected F32, BF16 or F16", thrown.getMessage());
    }

    /** Outputs may be columns of one matrix: they interleave and do not overlap. */
    @ParameterizedTest
    @MethodSource("backends")
    void interleavedOutputsAreFine(Backend backend) {
        Tensor columns = f32(4, 2);
        TokenLogprobs.of(f32(4, 5), i64(4))
                .logp(columns.select(1, 0))
                .lse(columns.select(1, 1))
                .run(backend);
        float ln5 = (float) Math.log(5);
        assertArrayEquals(
                new float[] {-ln5, ln5, -ln5, ln5, -ln5, ln5, -ln5, ln5},
                columns.toFloats(),
                1e-6f);
    }

    static Stream<Backend> backends() {
        return TestBackends.all();
    }
}
