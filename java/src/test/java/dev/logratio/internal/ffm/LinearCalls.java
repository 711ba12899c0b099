package dev.logratio.internal.ffm;

import static dev.logratio.internal.ffm.ValidCalls.isParameter;
import static dev.logratio.internal.ffm.ValidCalls.stepOptions;

import dev.logratio.Frozen;
import dev.logratio.LinearOptions;
import dev.logratio.SequenceOptions;
import dev.logratio.TokenOptions;
import dev.logratio.internal.check.LinearPreferenceStepOperand;
import dev.logratio.internal.check.LinearTokenLogprobsOperand;
import dev.logratio.internal.check.LinearUnpairedStepOperand;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.Signature;
import dev.logratio.loss.Bco;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Ipo;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Orpo;

import java.util.List;
import java.util.stream.Stream;

/** Calls of the linear operations: those that are right, and those whose options are not. */
final class LinearCalls {
    private static final Operand[] MODEL = {
        LinearPreferenceStepOperand.REFERENCE_HIDDEN,
        LinearPreferenceStepOperand.REFERENCE_WEIGHT,
        LinearPreferenceStepOperand.REFERENCE_BIAS
    };

    private LinearCalls() {}

    static Stream<ValidCall> all() {
        return Stream.of(
                tokens(TokenOptions.DEFAULT, LinearOptions.DEFAULT),
                tokens(TokenOptions.DEFAULT, LinearOptions.DEFAULT).form(1),
                step(new Dlrml())
                        .without(
                                LinearPreferenceStepOperand.REFERENCE_TOKEN_LOGPS,
                                LinearPreferenceStepOperand.NLL_MASK,
                                LinearPreferenceStepOperand.BETA,
                                LinearPreferenceStepOperand.GRAD_BETA)
                        .without(MODEL),
                step(new Ipo())
                        .form(1)
                        .without(parameters())
                        .without(MODEL)
                        .without(
                                LinearPreferenceStepOperand.REFERENCE_LOGPS,
                                LinearPreferenceStepOperand.NLL_MASK),
                ofModel(new Ipo()).without(LinearPreferenceStepOperand.NLL_MASK),
                step(new Orpo())
                        .without(parameters("beta", "grad_beta"))
                        .without(
                                LinearPreferenceStepOperand.REFERENCE_LOGPS,
                                LinearPreferenceStepOperand.REFERENCE_TOKEN_LOGPS),
                ofModel(new Orpo()).form(1),
                unpaired(new Kto(), SequenceOptions.DEFAULT)
                        .without(LinearUnpairedStepOperand.REFERENCE_TOKEN_LOGPS),
                unpaired(new Kto(), SequenceOptions.DEFAULT)
                        .form(1)
                        .without(LinearUnpairedStepOperand.REFERENCE_LOGPS),
                unpaired(new Bco(), SequenceOptions.DEFAULT)
                        .without(
                                LinearUnpairedStepOperand.REFERENCE_LOGPS,
                                LinearUnpairedStepOperand.KL_POLICY_LOGPS,
                                LinearUnpairedStepOperand.KL_REFERENCE_LOGPS));
    }

    /** Options that do not go with the tensors, in calls that are else right. */
    static List<ValidCall> mistaken() {
        return List.of(
                tokens(TokenOptions.DEFAULT.withVocab(6), LinearOptions.DEFAULT),
                tokens(TokenOptions.DEFAULT, LinearOptions.DEFAULT.withBudgetBytes(19)),
                tokens(TokenOptions.DEFAULT.withVocab(4), LinearOptions.DEFAULT.withBudgetBytes(1)),
                tokens(TokenOptions.DEFAULT, LinearOptions.DEFAULT.withFrozen(Frozen.HIDDEN)),
                tokens(TokenOptions.DEFAULT, LinearOptions.DEFAULT.withFrozen(Frozen.WEIGHT)),
                tokens(TokenOptions.DEFAULT, LinearOptions.DEFAULT.withFrozen(Frozen.WEIGHT))
                        .without(LinearTokenLogprobsOperand.GRAD_WEIGHT),
                tokens(TokenOptions.DEFAULT, LinearOptions.DEFAULT)
                        .without(
                                LinearTokenLogprobsOperand.GRAD_LOGP,
                                LinearTokenLogprobsOperand.GRAD_ENTROPY,
                                LinearTokenLogprobsOperand.GRAD_LSE),
                tokens(TokenOptions.DEFAULT, LinearOptions.DEFAULT).size('V', 0),
                tokens(TokenOptions.DEFAULT, LinearOptions.DEFAULT).size('H', 0),
                step(new Ipo())
                        .without(parameters())
                        .without(
                                LinearPreferenceStepOperand.REFERENCE_LOGPS,
                                LinearPreferenceStepOperand.NLL_MASK),
                unpaired(new Kto(), SequenceOptions.DEFAULT.withTailWeight(.5))
                        .without(LinearUnpairedStepOperand.REFERENCE_LOGPS));
    }

    private static ValidCall tokens(TokenOptions options, LinearOptions linear) {
        return ValidCall.of(Signature.LINEAR_TOKEN_LOGPROBS, options, linear);
    }

    private static ValidCall step(Loss.OfStep loss) {
        return ValidCall.of(
                Signature.LINEAR_PREFERENCE_STEP,
                stepOptions(loss, false),
                TokenOptions.DEFAULT,
                SequenceOptions.DEFAULT,
                LinearOptions.DEFAULT);
    }

    /** With a model as the reference. */
    private static ValidCall ofModel(Loss.OfStep loss) {
        return step(loss)
                .without(parameters())
                .without(
                        LinearPreferenceStepOperand.REFERENCE_LOGPS,
                        LinearPreferenceStepOperand.REFERENCE_TOKEN_LOGPS);
    }

    /** The operands that belong to options, but for some. */
    private static Operand[] parameters(String... but) {
        return Signature.LINEAR_PREFERENCE_STEP.operands().stream()
                .filter(operand -> isParameter(operand) && !List.of(but).contains(operand.id()))
                .toArray(Operand[]::new);
    }

    private static ValidCall unpaired(Loss.Unpaired loss, SequenceOptions options) {
        return ValidCall.of(
                Signature.LINEAR_UNPAIRED_STEP,
                loss,
                TokenOptions.DEFAULT,
                options,
                LinearOptions.DEFAULT);
    }
}
