package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.logratio.loss.Aot;
import dev.logratio.loss.Aqfl;
import dev.logratio.loss.Bco;
import dev.logratio.loss.Dbaql;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Ipo;
import dev.logratio.loss.Kto;
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.Sft;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.SimPo;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** Every mistake ends in one line that names the argument, before anything is written. */
class BadInputTest {
    private static final Arena ARENA = Arena.ofAuto();
    private static final double UNTOUCHED = -77;

    /** Outputs of a mistaken call, all of which must stay as they were. */
    private static final List<Tensor> OUTPUTS = new ArrayList<>();

    private static Tensor out(DType dtype, long... shape) {
        Tensor tensor = Tensor.zeros(ARENA, dtype, shape).fill(UNTOUCHED);
        OUTPUTS.add(tensor);
        return tensor;
    }

    private static Tensor f32(long... shape) {
        return Tensor.zeros(ARENA, DType.F32, shape);
    }

    private static Tensor i64(long... shape) {
        return Tensor.zeros(ARENA, DType.I64, shape);
    }

    private record Mistake(String message, Consumer<Backend> call) {}

    private static List<Mistake> mistakes() {
        Tensor logits = f32(4, 5);
        Tensor labels = i64(4);
        Tensor seven = i64(4);
        seven.setLong(7, 2);
        Tensor matrix = f32(4, 10);
        Tensor everySecond =
                Tensor.wrap(matrix.segment(), DType.F32, new long[] {4, 5}, new long[] {10, 2});
        Tensor mask = Tensor.zeros(ARENA, DType.BOOL, 4, 3).fill(1);
        Tensor weights = f32(4, 3);
        weights.setDouble(Double.NaN, 1, 2);
        Tensor pairs = f32(3);
        Tensor step = f32(4, 3, 5);
        Tensor stepLabels = i64(4, 3);
        Tensor half = logits.slice(0, 0, 2);
        Tensor flags = Tensor.zeros(ARENA, DType.BOOL, 3);
        SequenceOptions means =
                SequenceOptions.DEFAULT.withReduction(SequenceOptions.Reduction.MEAN);
        SequenceOptions poet = SequenceOptions.DEFAULT.withTailWeight(0);
        Tensor readOnly = Tensor.wrap(f32(4).segment().asReadOnly(), DType.F32, 4);
        Tensor broadcast = Tensor.wrap(f32(4).segment(), DType.F32, new long[] {4}, new long[] {0});
        return List.of(
                new Mistake(
                        "logits is missing, expected float [N,V] or [B,T,V]",
                        b -> TokenLogprobs.of(null, labels).logp(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "labels is missing, expected int [N] or [B,T]",
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
                        "grad_logp and grad_entropy are missing, expected at least one of them",
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
                        "grad_logits F32 [2, 5] overlaps logits F32 [2, 5], expected memory of its"
                                + " own",
                        b ->
                                TokenLogprobsBackward.of(half, i64(2), f32(2))
                                        .gradLogp(f32(2))
                                        .gradLogits(logits.slice(0, 1, 3))
                                        .run(b)),
                new Mistake(
                        "mask is missing, expected BOOL, U8 or F32 [B,T]",
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
                        "token_logps is missing, expected float [B,T], as logps is wanted",
                        b -> SequenceLogps.of(null, mask).logps(out(DType.F32, 4)).run(b)),
                new Mistake(
                        "grad_logps is missing, expected float [B], as grad_token_logps is given",
                        b ->
                                SequenceLogps.of(null, mask)
                                        .gradTokenLogps(out(DType.F32, 4, 3))
                                        .run(b)),
                new Mistake(
                        "grad_token_logps is missing, expected float [B,T], as grad_logps is given",
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
                        b -> SequenceLogps.of(null, mask).counts(out(DType.F32, 3)).run(b)),
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
                        "reference_rejected is missing, expected float [P], or referenceFree()",
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
                        "grad_tau is F32 [3], expected shape [1]",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, pairs)
                                        .referenceFree()
                                        .gradTau(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "logits is F32 [4, 5], expected shape [2P,T,V]",
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
                        "reference_chosen is given, expected it absent as loss simpo has no"
                                + " reference",
                        b ->
                                PairLoss.of(new SimPo(), pairs, pairs)
                                        .reference(pairs, pairs)
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "beta_mix is given as a tensor, expected it only with the loss dlrml, not"
                                + " discopop",
                        b ->
                                PairLoss.of(new DiscoPop(), pairs, pairs)
                                        .referenceFree()
                                        .betaMix(f32(1))
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "tau is F32 [3], expected shape [1]",
                        b ->
                                PairLoss.of(new Dlrml(), pairs, pairs)
                                        .referenceFree()
                                        .tau(pairs)
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
                        "loss is F32 [3], expected shape [6]",
                        b ->
                                PairLoss.of(new KtoPair(), pairs, pairs)
                                        .referenceFree()
                                        .losses(out(DType.F32, 3))
                                        .run(b)),
                new Mistake(
                        "grad_loss is F32 [3], expected shape [6]",
                        b ->
                                PairLoss.of(new KtoPair(), pairs, pairs)
                                        .referenceFree()
                                        .gradLoss(pairs)
                                        .losses(out(DType.F32, 6))
                                        .run(b)),
                new Mistake(
                        "grad_tau is wanted, expected a loss with the option tau, not dbaql",
                        b ->
                                PairLoss.of(new Dbaql(), pairs, pairs)
                                        .referenceFree()
                                        .gradTau(out(DType.F32, 1))
                                        .run(b)),
                new Mistake(
                        "policy_chosen is F32 [1], expected at least 2 pairs, or none, as loss aqfl"
                                + " takes their variance",
                        b ->
                                PairLoss.of(new Aqfl(), f32(1), f32(1))
                                        .referenceFree()
                                        .losses(out(DType.F32, 1))
                                        .run(b)),
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

    static Stream<Arguments> cases() {
        return TestBackends.all()
                .flatMap(
                        backend ->
                                mistakes().stream().map(mistake -> Arguments.of(backend, mistake)));
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("cases")
    void oneLineAndNothingWritten(Backend backend, Mistake mistake) {
        OUTPUTS.clear();
        IllegalArgumentException thrown =
                assertThrows(IllegalArgumentException.class, () -> mistake.call.accept(backend));
        assertEquals(mistake.message, thrown.getMessage());
        for (Tensor output : OUTPUTS) {
            double[] untouched = new double[(int) output.elementCount()];
            Arrays.fill(untouched, UNTOUCHED);
            assertArrayEquals(untouched, output.toDoubles());
        }
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

    @Test
    void optionsCheckTheirRanges() {
        List<Executable> mistakes =
                List.of(
                        () -> new TokenOptions(-100, 0, 0),
                        () -> TokenOptions.DEFAULT.withTemperature(Double.NaN),
                        () -> TokenOptions.DEFAULT.withSoftcap(-1),
                        () -> TokenOptions.DEFAULT.withSoftcap(Double.POSITIVE_INFINITY),
                        () -> SequenceOptions.DEFAULT.withTailWeight(1.5),
                        () -> SequenceOptions.DEFAULT.withTailWeight(Double.NaN),
                        () -> SequenceOptions.DEFAULT.withTailWeight(0).withKeepFraction(0),
                        () -> SequenceOptions.DEFAULT.withKeepFraction(.5),
                        () -> Backend.named("tpu"),
                        () -> Logratio.setThreads(0),
                        () -> Logratio.setThreads(1025),
                        () -> Tensor.wrap(MemorySegment.NULL, DType.F32, 1));
        for (Executable mistake : mistakes) {
            assertThrows(IllegalArgumentException.class, mistake);
        }
    }
}
