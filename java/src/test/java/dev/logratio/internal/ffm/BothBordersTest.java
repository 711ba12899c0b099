package dev.logratio.internal.ffm;

import static dev.logratio.internal.ffm.Borders.ACCEPTED;
import static dev.logratio.internal.ffm.Borders.java;
import static dev.logratio.internal.ffm.Borders.library;
import static dev.logratio.internal.ffm.ValidCalls.besideParameters;
import static dev.logratio.internal.ffm.ValidCalls.isParameter;
import static dev.logratio.internal.ffm.ValidCalls.ofOptions;
import static dev.logratio.internal.ffm.ValidCalls.onLogits;
import static dev.logratio.internal.ffm.ValidCalls.sequences;
import static dev.logratio.internal.ffm.ValidCalls.step;
import static dev.logratio.internal.ffm.ValidCalls.stepOptions;
import static dev.logratio.internal.ffm.ValidCalls.tokens;
import static dev.logratio.internal.ffm.ValidCalls.tokensBackward;
import static dev.logratio.internal.ffm.ValidCalls.unpairedStep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Device;
import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.SequenceOptions;
import dev.logratio.Tensor;
import dev.logratio.TokenOptions;
import dev.logratio.Wpo;
import dev.logratio.internal.check.DivergenceOperand;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.PreferenceStepOperand;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.StepOptions;
import dev.logratio.internal.check.TokenLogprobsOperand;
import dev.logratio.internal.check.UnpairedStepOperand;
import dev.logratio.loss.Aot;
import dev.logratio.loss.Aqfl;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Ipo;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.Sft;
import dev.logratio.loss.WeightedLoss;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Java's checks and the library's refuse the same calls, in the same words. The mistakes follow
 * from the operands' declarations; the library gets each call as the backends write it, but
 * unchecked.
 */
class BothBordersTest {
    private record Mistake(String name, Consumer<ValidCall.Attempt> make) {}

    @BeforeAll
    static void loadLibrary() {
        Backend.cpu();
    }

    // ---- The mistakes ----

    private static List<Mistake> mistakes(ValidCall call, Operand operand) {
        List<Mistake> mistakes = new ArrayList<>();
        long[] shape = call.shape(operand);
        mistakes.add(new Mistake("absent", attempt -> leaveOut(attempt, operand)));
        for (DType dtype : DType.values()) {
            mistakes.add(new Mistake("of " + dtype, a -> a.give(operand, dtype, shape)));
        }
        DType dtype = ValidCall.dtype(operand);
        for (long[] other : ValidCall.otherShapes(shape)) {
            mistakes.add(new Mistake("resized", a -> a.give(operand, dtype, other)));
        }
        for (long[] strides : otherStrides(shape)) {
            mistakes.add(new Mistake("strided", a -> a.give(operand, shape, strides)));
        }
        mistakes.add(new Mistake("on CUDA 0", a -> a.move(operand, Device.cuda(0))));
        if (operand.declaration().isOutput()) {
            for (Operand other : call.operands()) {
                long step = ValidCall.dtype(operand).bytes();
                mistakes.add(new Mistake("on " + other.id(), a -> a.lay(operand, other, 0)));
                mistakes.add(new Mistake("in " + other.id(), a -> a.lay(operand, other, step)));
            }
        } else {
            mistakes.addAll(badValues(operand, shape));
        }
        return mistakes;
    }

    /** Only Java asks to be told that there is no reference. */
    private static void leaveOut(ValidCall.Attempt attempt, Operand operand) {
        attempt.call().set(operand, null);
        if (operand.declaration().presence() == Operand.Presence.ONE_REFERENCE) {
            attempt.call().referenceFree();
        }
    }

    /** Twice as far apart, the first or the last all one, side by side whatever the sizes. */
    private static List<long[]> otherStrides(long[] shape) {
        long[] wide = new long[shape.length];
        long[] broadcast = new long[shape.length];
        long[] still = new long[shape.length];
        long[] close = new long[shape.length];
        long stride = 1;
        for (int d = shape.length - 1; d >= 0; d--) {
            wide[d] = 2 * stride;
            broadcast[d] = d == 0 ? 0 : stride;
            still[d] = d == shape.length - 1 ? 0 : stride;
            close[d] = 1;
            stride *= shape[d];
        }
        return List.of(wide, broadcast, still, close);
    }

    private static List<Mistake> badValues(Operand operand, long[] shape) {
        List<Mistake> mistakes = new ArrayList<>();
        List<DType> types = operand.declaration().types().of(false);
        if (types.contains(DType.F32)) {
            double[] values = {Double.NaN, -.5, Double.POSITIVE_INFINITY, 0, -1e-5, -1e30, -123456};
            for (double value : values) {
                mistakes.add(
                        new Mistake(
                                "with " + value,
                                attempt -> {
                                    attempt.give(operand, DType.F32, shape);
                                    tensor(attempt, operand).setDouble(value, last(shape));
                                }));
            }
            mistakes.add(
                    new Mistake(
                            "of zeros",
                            attempt -> {
                                attempt.give(operand, DType.F32, shape);
                                tensor(attempt, operand).fill(0);
                            }));
        }
        if (types.contains(DType.I32)) {
            for (long value : new long[] {-5, 99, 0, -100}) {
                mistakes.add(
                        new Mistake(
                                "with " + value,
                                attempt -> {
                                    attempt.give(operand, DType.I32, shape);
                                    tensor(attempt, operand).setLong(value, last(shape));
                                }));
            }
        }
        return mistakes;
    }

    private static Tensor tensor(ValidCall.Attempt attempt, Operand operand) {
        return attempt.call().get(operand);
    }

    private static long[] last(long[] shape) {
        long[] index = shape.clone();
        for (int d = 0; d < index.length; d++) {
            index[d]--;
        }
        return index;
    }

    // ---- Tests ----

    @ParameterizedTest
    @MethodSource("dev.logratio.internal.ffm.ValidCalls#all")
    void theCallIsRight(ValidCall call) {
        assertEquals(ACCEPTED, java(call.attempt().call()));
        assertEquals(ACCEPTED, library(call.attempt().call()));
    }

    @ParameterizedTest
    @MethodSource("dev.logratio.internal.ffm.ValidCalls#all")
    void everyMistakeIsSaidAlike(ValidCall call) {
        List<String> java = new ArrayList<>();
        List<String> library = new ArrayList<>();
        for (Operand operand : call.signature().operands()) {
            boolean isExtra = !call.operands().contains(operand);
            List<Mistake> mistakes =
                    isExtra
                            ? List.of(new Mistake("given", attempt -> attempt.give(operand)))
                            : mistakes(call, operand);
            Set<String> refusals = new HashSet<>();
            for (Mistake mistake : mistakes) {
                String name = operand.id() + " " + mistake.name() + ": ";
                ValidCall.Attempt attempt = call.attempt();
                mistake.make().accept(attempt);
                String said = java(attempt.call());
                java.add(name + said);
                library.add(name + library(attempt.call()));
                refusals.add(said);
            }
            refusals.remove(ACCEPTED);
            // A parameter that the call is without may be one that its loss takes.
            int least = !isExtra ? 5 : isParameter(operand) ? 0 : 1;
            assertTrue(refusals.size() >= least, operand.id() + ": " + refusals);
        }
        assertEquals(String.join("\n", java), String.join("\n", library));
    }

    @Test
    void keptColumnsGoWithOneLabelPerRow() {
        String refusal = "kept_ids is there, expected labels [N] or [B,T] with it";
        for (ValidCall call :
                List.of(
                        tokens(2),
                        tokens(2).size('K', 1),
                        tokensBackward(2),
                        tokensBackward(3).size('N', 12).size('K', 2))) {
            assertEquals(refusal, java(call.attempt().call()), call.name());
            assertEquals(refusal, library(call.attempt().call()), call.name());
        }
    }

    @Test
    void noOperandIsLeftOut() {
        Set<Operand> seen = new HashSet<>();
        ValidCalls.all().forEach(call -> seen.addAll(call.operands()));
        for (Signature signature : Signature.values()) {
            assertTrue(seen.containsAll(signature.operands()), signature.id());
        }
    }

    /** Options that do not go with each other, or with the tensors. */
    @Test
    void rulesAreSaidAlike() {
        SequenceOptions means =
                SequenceOptions.DEFAULT.withReduction(SequenceOptions.Reduction.MEAN);
        List<ValidCall> mistaken = new ArrayList<>(LinearCalls.mistaken());
        mistaken.addAll(
                List.of(
                        ValidCall.of(Signature.PAIR_LOSS, new Aqfl())
                                .size('P', 1)
                                .size('L', 1)
                                .without(ofOptions()),
                        sequences().size('B', 3),
                        sequences().size('B', 3).form(1),
                        sequences().size('B', 0).form(1),
                        step(new Dlrml())
                                .size('P', 0)
                                .form(1)
                                .without(PreferenceStepOperand.REFERENCE_LOGPS),
                        ValidCall.of(
                                        Signature.PREFERENCE_STEP,
                                        stepOptions(new Ipo(), false),
                                        TokenOptions.DEFAULT,
                                        means)
                                .without(besideParameters(PreferenceStepOperand.REFERENCE_LOGPS)),
                        ValidCall.of(
                                        Signature.PREFERENCE_STEP,
                                        stepOptions(new Aot(), true),
                                        TokenOptions.DEFAULT,
                                        SequenceOptions.DEFAULT)
                                .without(besideParameters(PreferenceStepOperand.REFERENCE_LOGPS)),
                        step(new Aqfl())
                                .size('P', 1)
                                .without(
                                        besideParameters(
                                                PreferenceStepOperand.REFERENCE_LOGPS,
                                                PreferenceStepOperand.NLL_MASK)),
                        step(new Aqfl())
                                .without(besideParameters(PreferenceStepOperand.REFERENCE_LOGPS)),
                        step(new Aot())
                                .without(
                                        besideParameters(
                                                PreferenceStepOperand.REFERENCE_LOGPS,
                                                PreferenceStepOperand.NLL_MASK)),
                        counted(new Orpo(), 3),
                        counted(new Orpo(.1, Nll.TOKEN), -1),
                        counted(new Sft(), Double.NaN),
                        counted(new Sft(), Double.POSITIVE_INFINITY),
                        unpairedStep(new Kto(), SequenceOptions.DEFAULT.withTailWeight(.5))
                                .without(UnpairedStepOperand.REFERENCE_LOGPS),
                        new ValidCall(
                                "two losses",
                                Signature.PREFERENCE_STEP,
                                List.of(
                                        new StepOptions(
                                                List.of(
                                                        new WeightedLoss(new Dlrml(), 1),
                                                        new WeightedLoss(new Dlrml(), 1)),
                                                Wpo.OFF,
                                                0),
                                        TokenOptions.DEFAULT,
                                        SequenceOptions.DEFAULT),
                                0,
                                step(new Dlrml()).sizes(),
                                Set.of(
                                        PreferenceStepOperand.REFERENCE_LOGPS,
                                        PreferenceStepOperand.NLL_MASK)),
                        onLogits(DivergenceOptions.DEFAULT.withDetach(DivergenceOptions.Detach.P)),
                        onLogits(DivergenceOptions.DEFAULT.withDetach(DivergenceOptions.Detach.Q)),
                        onLogits(DivergenceOptions.DEFAULT.withVocab(6)),
                        ValidCall.of(Signature.DIVERGENCE, DivergenceOptions.DEFAULT)
                                .size('J', 2)
                                .without(
                                        DivergenceOperand.Q_LOGITS,
                                        DivergenceOperand.Q_WEIGHTS,
                                        DivergenceOperand.Q_MODEL_WEIGHTS,
                                        DivergenceOperand.GRAD_Q_LOGITS),
                        ValidCall.of(
                                        Signature.DIVERGENCE,
                                        DivergenceOptions.of(DivergenceKind.KL_PQ).withVocab(1))
                                .size('J', 2)
                                .without(
                                        DivergenceOperand.Q_LOGITS,
                                        DivergenceOperand.Q_WEIGHTS,
                                        DivergenceOperand.Q_MODEL_WEIGHTS,
                                        DivergenceOperand.GRAD_Q_LOGITS),
                        ValidCall.of(Signature.DIVERGENCE, DivergenceOptions.DEFAULT)
                                .form(1)
                                .size('R', 2)
                                .without(
                                        DivergenceOperand.Q_WEIGHTS,
                                        DivergenceOperand.Q_TOPK_IDS,
                                        DivergenceOperand.Q_TOPK_LOGPS,
                                        DivergenceOperand.Q_MODEL_WEIGHTS),
                        ValidCall.of(
                                Signature.SCORING_RULE, ScoringRuleOptions.DEFAULT.withVocab(6)),
                        ValidCall.of(Signature.TOKEN_LOGPROBS, TokenOptions.DEFAULT.withVocab(6))
                                .without(TokenLogprobsOperand.TAIL),
                        ValidCall.of(
                                        Signature.TOKEN_LOGPROBS_BACKWARD,
                                        TokenOptions.DEFAULT.withVocab(2))
                                .form(2),
                        ValidCall.of(
                                        Signature.PREFERENCE_STEP,
                                        stepOptions(new Dlrml(), false),
                                        TokenOptions.DEFAULT.withVocab(6),
                                        SequenceOptions.DEFAULT)
                                .without(PreferenceStepOperand.REFERENCE_LOGPS),
                        tokens(2).size('K', 6),
                        tokens(3).size('K', 0)));
        for (ValidCall call : mistaken) {
            String said = java(call.attempt().call());
            assertNotEquals(ACCEPTED, said, call.name());
            assertEquals(said, library(call.attempt().call()));
        }
    }

    private static ValidCall counted(Loss.OfStep loss, double count) {
        return ValidCall.of(
                        Signature.PREFERENCE_STEP,
                        stepOptions(loss, false).withTokenCount(count),
                        TokenOptions.DEFAULT,
                        SequenceOptions.DEFAULT)
                .without(PreferenceStepOperand.REFERENCE_LOGPS);
    }
}
