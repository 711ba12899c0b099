package dev.logratio;

import static dev.logratio.Mistake.ARENA;
import static dev.logratio.Mistake.f32;
import static dev.logratio.Mistake.i64;
import static dev.logratio.Mistake.out;

import dev.logratio.loss.Aqfl;
import dev.logratio.loss.Dbaql;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.SimPo;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.stream.Stream;

/**
 * Every mistake in a call of a pair loss ends in one line that names the argument, before anything
 * is written.
 */
class PairMistakesTest {
    private static List<Mistake> mistakes() {
        Tensor logits = f32(4, 5);
        Tensor pairs = f32(3);
        return List.of(
                new Mistake(
                        "policy_chosen is missing, expected float [P]",
                        b ->
                                PairLoss.of(new Dlrml(), null, pairs)
                                        .referenceFree()
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "policy_chosen is F32 [4, 5], expected shape [P]",
                        b ->
                                PairLoss.of(new Dlrml(), logits, pairs)
                                        .referenceFree()
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "policy_rejected is F32 [4], expected shape [3], as policy_chosen is F32"
                                + " [3]",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, f32(4))
                                        .referenceFree()
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "reference_rejected is missing, expected float [P], as reference_chosen is"
                                + " given",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, pairs)
                                        .reference(pairs, null)
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "chosen_counts is missing, expected float or int [P], as rejected_counts is"
                                + " given",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, pairs)
                                        .referenceFree()
                                        .counts(null, i64(3))
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "chosen_counts is BOOL [3], expected F64, F32, BF16, F16, I64 or I32",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, pairs)
                                        .referenceFree()
                                        .counts(Tensor.zeros(ARENA, DType.BOOL, 3), i64(3))
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "grad_reference_chosen is wanted, expected a reference with it",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, pairs)
                                        .referenceFree()
                                        .losses(out(DType.F32, 3))
                                        .gradReference(out(DType.F32, 3), null)
                                        .run(b)),
                new Mistake(
                        "grad_beta is wanted, expected a loss with the option beta, not dlrml",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, pairs)
                                        .referenceFree()
                                        .losses(out(DType.F32, 3))
                                        .gradBeta(out(DType.F32, 1))
                                        .run(b)),
                new Mistake(
                        "grad_beta_mix is wanted, expected a loss with the option beta_mix, not"
                                + " discopop",
                        b ->
                                PairLoss.of(new DiscoPop(), pairs, pairs)
                                        .referenceFree()
                                        .gradBetaMix(out(DType.F32, 1))
                                        .run(b)),
                new Mistake(
                        "grad_tau is wanted, expected a loss with the option tau, not sigmoid",
                        b ->
                                PairLoss.of(new Sigmoid(), pairs, pairs)
                                        .referenceFree()
                                        .gradTau(out(DType.F32, 1))
                                        .run(b)),
                new Mistake(
                        "grad_tau is F32 [3], expected shape [1], as tau is not given as a tensor",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, pairs)
                                        .referenceFree()
                                        .gradTau(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "reference_chosen is given, expected it absent as loss simpo has no"
                                + " reference",
                        b ->
                                PairLoss.of(new SimPo(), pairs, pairs)
                                        .reference(pairs, pairs)
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "beta_mix is given as a tensor, expected a loss with the option beta_mix,"
                                + " not discopop",
                        b ->
                                PairLoss.of(new DiscoPop(), pairs, pairs)
                                        .referenceFree()
                                        .betaMix(f32(1))
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "tau is F32 [2], expected shape [1] or [3], as policy_chosen is F32 [3]",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, pairs)
                                        .referenceFree()
                                        .tau(f32(2))
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "tau is 0.0, expected a finite number > 0",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, pairs)
                                        .referenceFree()
                                        .tau(f32(1))
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "loss is F32 [3], expected shape [6], as policy_chosen is F32 [3]",
                        b ->
                                PairLoss.of(new KtoPair(), pairs, pairs)
                                        .referenceFree()
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "grad_loss is F32 [3], expected shape [6], as policy_chosen is F32 [3]",
                        b ->
                                PairLoss.of(new KtoPair(), pairs, pairs)
                                        .referenceFree()
                                        .gradLoss(pairs)
                                        .losses(out(DType.F32, 6))
                                        .run(b)),
                new Mistake(
                        "grad_tau is wanted, expected tau as a tensor with it, as loss dbaql has no"
                                + " gradient by options",
                        b ->
                                PairLoss.of(new Dbaql(), pairs, pairs)
                                        .referenceFree()
                                        .gradTau(out(DType.F32, 1))
                                        .run(b)),
                new Mistake(
                        "beta is given as a tensor, expected a loss with the option beta, not"
                                + " dlrml",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, pairs)
                                        .referenceFree()
                                        .beta(f32(1).fill(1))
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "grad_beta is F32 [1], expected shape [3], as beta is F32 [3]",
                        b ->
                                PairLoss.of(new Sigmoid(), pairs, pairs)
                                        .referenceFree()
                                        .beta(f32(3).fill(1))
                                        .gradBeta(out(DType.F32, 1))
                                        .run(b)),
                new Mistake(
                        "grad_beta is F32 [3], expected shape [1], as beta is F32 [1]",
                        b ->
                                PairLoss.of(new Sigmoid(), pairs, pairs)
                                        .referenceFree()
                                        .beta(f32(1).fill(1))
                                        .gradBeta(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "beta[0] is 0.0, expected a finite number > 0",
                        b ->
                                PairLoss.of(new Sigmoid(), pairs, pairs)
                                        .referenceFree()
                                        .beta(f32(3))
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "beta_mix[0] is Infinity, expected a finite number",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, pairs)
                                        .referenceFree()
                                        .betaMix(f32(3).fill(Double.POSITIVE_INFINITY))
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "policy_chosen is F32 [1], expected at least 2 pairs, or none, as loss aqfl"
                                + " takes their variance",
                        b ->
                                PairLoss.of(new Aqfl(), f32(1), f32(1))
                                        .referenceFree()
                                        .losses(out(DType.F32, 1))
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
