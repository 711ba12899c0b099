package dev.logratio.internal.ffm;

import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.SequenceOptions;
import dev.logratio.TokenOptions;
import dev.logratio.Wpo;
import dev.logratio.internal.check.DivergenceOperand;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.PairLossOperand;
import dev.logratio.internal.check.PreferenceStepOperand;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.StepOptions;
import dev.logratio.internal.check.TokenLogprobsBackwardOperand;
import dev.logratio.internal.check.TokenLogprobsOperand;
import dev.logratio.internal.check.UnpairedLossOperand;
import dev.logratio.internal.check.UnpairedStepOperand;
import dev.logratio.loss.Aot;
import dev.logratio.loss.Aqfl;
import dev.logratio.loss.Bco;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Ipo;
import dev.logratio.loss.Kto;
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.SimPo;
import dev.logratio.loss.WeightedLoss;

import java.util.List;
import java.util.stream.Stream;

/** Calls that are right, of every operation, form and operand. */
final class ValidCalls {
    private ValidCalls() {}

    static Stream<ValidCall> all() {
        return Stream.concat(onLogitsAndSequences(), LinearCalls.all());
    }

    private static Stream<ValidCall> onLogitsAndSequences() {
        ValidCall step = step(new Dlrml());
        ValidCall divergence =
                ValidCall.of(Signature.DIVERGENCE, DivergenceOptions.of(DivergenceKind.JS));
        return Stream.of(
                keeping(Signature.TOKEN_LOGPROBS, 6).without(TokenLogprobsOperand.TAIL),
                keeping(Signature.TOKEN_LOGPROBS, 12).form(1).without(TokenLogprobsOperand.TAIL),
                ofSeveral(tokens(2)),
                ofSeveral(tokens(3)).size('K', 2),
                keeping(Signature.TOKEN_LOGPROBS_BACKWARD, 12)
                        .form(1)
                        .without(
                                TokenLogprobsBackwardOperand.TAIL,
                                TokenLogprobsBackwardOperand.GRAD_TAIL),
                ofSeveral(tokensBackward(2)),
                ofSeveral(tokensBackward(3)).size('K', 2),
                sequences(),
                sequences().form(1),
                ValidCall.of(Signature.PAIR_LOSS, new Dlrml())
                        .without(PairLossOperand.BETA, PairLossOperand.GRAD_BETA),
                ValidCall.of(Signature.PAIR_LOSS, new DiscoPop())
                        .without(ofOptions("beta", "tau", "grad_beta", "grad_tau")),
                ValidCall.of(Signature.PAIR_LOSS, new Aqfl())
                        .without(ofOptions("beta", "grad_beta", "tau", "grad_tau")),
                ValidCall.of(Signature.PAIR_LOSS, new KtoPair()).size('L', 4).without(ofOptions()),
                ValidCall.of(Signature.PAIR_LOSS, new SimPo())
                        .without(
                                Stream.concat(
                                                Stream.of(ofOptions()),
                                                Stream.of(
                                                        PairLossOperand.REFERENCE_CHOSEN,
                                                        PairLossOperand.REFERENCE_REJECTED,
                                                        PairLossOperand.GRAD_REFERENCE_CHOSEN,
                                                        PairLossOperand.GRAD_REFERENCE_REJECTED))
                                        .toArray(Operand[]::new)),
                ValidCall.of(Signature.UNPAIRED_LOSS, new Kto()),
                ValidCall.of(Signature.UNPAIRED_LOSS, new Bco())
                        .without(
                                UnpairedLossOperand.KL_POLICY_LOGPS,
                                UnpairedLossOperand.KL_REFERENCE_LOGPS),
                step.without(
                        PreferenceStepOperand.REFERENCE_TOKEN_LOGPS,
                        PreferenceStepOperand.NLL_MASK,
                        PreferenceStepOperand.BETA,
                        PreferenceStepOperand.GRAD_BETA),
                step(new Ipo())
                        .without(
                                besideParameters(
                                        PreferenceStepOperand.REFERENCE_LOGPS,
                                        PreferenceStepOperand.NLL_MASK)),
                step(new Ipo())
                        .form(1)
                        .without(
                                besideParameters(
                                        PreferenceStepOperand.REFERENCE_LOGPS,
                                        PreferenceStepOperand.NLL_MASK)),
                step(new Orpo())
                        .without(
                                PreferenceStepOperand.REFERENCE_LOGPS,
                                PreferenceStepOperand.BETA_KL,
                                PreferenceStepOperand.BETA_MIX,
                                PreferenceStepOperand.TAU,
                                PreferenceStepOperand.GRAD_BETA_KL,
                                PreferenceStepOperand.GRAD_BETA_MIX,
                                PreferenceStepOperand.GRAD_TAU),
                step(new Orpo())
                        .without(besideParameters(PreferenceStepOperand.REFERENCE_TOKEN_LOGPS)),
                step(new Orpo())
                        .form(1)
                        .without(besideParameters(PreferenceStepOperand.REFERENCE_LOGPS)),
                step(new Aot())
                        .without(
                                besideParameters(
                                        PreferenceStepOperand.REFERENCE_LOGPS,
                                        PreferenceStepOperand.NLL_MASK,
                                        PreferenceStepOperand.PAIR_WEIGHTS)),
                unpairedStep(new Kto(), SequenceOptions.DEFAULT)
                        .without(UnpairedStepOperand.REFERENCE_TOKEN_LOGPS),
                unpairedStep(new Kto(), SequenceOptions.DEFAULT)
                        .form(1)
                        .without(UnpairedStepOperand.REFERENCE_LOGPS),
                unpairedStep(new Bco(), SequenceOptions.DEFAULT)
                        .without(
                                UnpairedStepOperand.REFERENCE_LOGPS,
                                UnpairedStepOperand.KL_POLICY_LOGPS,
                                UnpairedStepOperand.KL_REFERENCE_LOGPS),
                onLogits(DivergenceOptions.of(DivergenceKind.JS)),
                divergence.without(
                        DivergenceOperand.Q_LOGITS,
                        DivergenceOperand.Q_TOPK_IDS,
                        DivergenceOperand.Q_TOPK_LOGPS,
                        DivergenceOperand.Q_MODEL_WEIGHTS,
                        DivergenceOperand.GRAD_Q_LOGITS),
                divergence
                        .size('J', 2)
                        .without(
                                DivergenceOperand.Q_LOGITS,
                                DivergenceOperand.Q_WEIGHTS,
                                DivergenceOperand.Q_MODEL_WEIGHTS,
                                DivergenceOperand.GRAD_Q_LOGITS),
                divergence
                        .form(1)
                        .size('R', 2)
                        .without(
                                DivergenceOperand.Q_WEIGHTS,
                                DivergenceOperand.Q_TOPK_IDS,
                                DivergenceOperand.Q_TOPK_LOGPS),
                divergence
                        .size('K', 6)
                        .size('M', 6)
                        .without(
                                DivergenceOperand.Q_WEIGHTS,
                                DivergenceOperand.Q_TOPK_IDS,
                                DivergenceOperand.Q_TOPK_LOGPS,
                                DivergenceOperand.Q_MODEL_WEIGHTS,
                                DivergenceOperand.P_ROWS,
                                DivergenceOperand.Q_ROWS),
                ValidCall.of(Signature.SCORING_RULE, ScoringRuleOptions.DEFAULT),
                ValidCall.of(Signature.SCORING_RULE, ScoringRuleOptions.DEFAULT).form(1));
    }

    static ValidCall tokens(int form) {
        return ValidCall.of(Signature.TOKEN_LOGPROBS, TokenOptions.DEFAULT).form(form);
    }

    static ValidCall tokensBackward(int form) {
        return ValidCall.of(Signature.TOKEN_LOGPROBS_BACKWARD, TokenOptions.DEFAULT).form(form);
    }

    static ValidCall sequences() {
        return ValidCall.of(Signature.SEQUENCE_LOGPS, SequenceOptions.DEFAULT.withTailWeight(.5));
    }

    /** Several labels per row, which do not go with kept columns. */
    private static ValidCall ofSeveral(ValidCall call) {
        return call.without(
                call.signature().operands().stream()
                        .filter(o -> o.id().startsWith("kept_") || o.id().equals("outside"))
                        .toArray(Operand[]::new));
    }

    /** Rows that keep a column each. */
    private static ValidCall keeping(Signature signature, long rows) {
        return ValidCall.of(signature, TokenOptions.DEFAULT).size('N', rows).size('M', rows);
    }

    static ValidCall step(Loss.OfStep loss) {
        return ValidCall.of(
                Signature.PREFERENCE_STEP,
                stepOptions(loss, false),
                TokenOptions.DEFAULT,
                SequenceOptions.DEFAULT);
    }

    static ValidCall unpairedStep(Loss.Unpaired loss, SequenceOptions options) {
        return ValidCall.of(Signature.UNPAIRED_STEP, loss, TokenOptions.DEFAULT, options);
    }

    static StepOptions stepOptions(Loss.OfStep loss, boolean wpo) {
        return new StepOptions(List.of(new WeightedLoss(loss, 1)), wpo ? Wpo.ON : Wpo.OFF, 0);
    }

    /** The operands of a step that belong to options, and others. */
    static Operand[] besideParameters(Operand... others) {
        return Stream.concat(Stream.of(ofOptions(Signature.PREFERENCE_STEP)), Stream.of(others))
                .toArray(Operand[]::new);
    }

    /** The operands of pair_loss that belong to options, but for some. */
    static Operand[] ofOptions(String... but) {
        return ofOptions(Signature.PAIR_LOSS, but);
    }

    private static Operand[] ofOptions(Signature signature, String... but) {
        return signature.operands().stream()
                .filter(operand -> isParameter(operand) && !List.of(but).contains(operand.id()))
                .toArray(Operand[]::new);
    }

    static boolean isParameter(Operand operand) {
        return switch (operand.declaration().presence()) {
            case OPTION, OPTION_GRADIENT -> true;
            default -> false;
        };
    }

    /** A divergence of logits and one model's logits. */
    static ValidCall onLogits(DivergenceOptions options) {
        return ValidCall.of(Signature.DIVERGENCE, options)
                .without(
                        DivergenceOperand.Q_WEIGHTS,
                        DivergenceOperand.Q_TOPK_IDS,
                        DivergenceOperand.Q_TOPK_LOGPS,
                        DivergenceOperand.Q_MODEL_WEIGHTS);
    }
}
