package dev.logratio.internal.check;

import dev.logratio.DivergenceOptions;
import dev.logratio.LinearOptions;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.SequenceOptions;
import dev.logratio.TokenOptions;
import dev.logratio.loss.Loss;

import java.util.List;
import java.util.Locale;

/** The operations: what each is called, its operands, its options and its further rules. */
public enum Signature {
    TOKEN_LOGPROBS(TokenLogprobsOperand.values(), TokenLogprobsOperand.RULES, TokenOptions.class),
    TOKEN_LOGPROBS_BACKWARD(
            TokenLogprobsBackwardOperand.values(),
            TokenLogprobsBackwardOperand.RULES,
            TokenOptions.class),
    SEQUENCE_LOGPS(
            SequenceLogpsOperand.values(), SequenceLogpsOperand.RULES, SequenceOptions.class),
    PAIR_LOSS(PairLossOperand.values(), PairLossOperand.RULES, Loss.Paired.class),
    UNPAIRED_LOSS(UnpairedLossOperand.values(), UnpairedLossOperand.RULES, Loss.Unpaired.class),
    PREFERENCE_STEP(
            PreferenceStepOperand.values(),
            PreferenceStepOperand.RULES,
            StepOptions.class,
            TokenOptions.class,
            SequenceOptions.class),
    UNPAIRED_STEP(
            UnpairedStepOperand.values(),
            UnpairedStepOperand.RULES,
            Loss.Unpaired.class,
            TokenOptions.class,
            SequenceOptions.class),
    LINEAR_TOKEN_LOGPROBS(
            LinearTokenLogprobsOperand.values(),
            LinearTokenLogprobsOperand.RULES,
            TokenOptions.class,
            LinearOptions.class),
    LINEAR_PREFERENCE_STEP(
            LinearPreferenceStepOperand.values(),
            LinearPreferenceStepOperand.RULES,
            StepOptions.class,
            TokenOptions.class,
            SequenceOptions.class,
            LinearOptions.class),
    LINEAR_UNPAIRED_STEP(
            LinearUnpairedStepOperand.values(),
            LinearUnpairedStepOperand.RULES,
            Loss.Unpaired.class,
            TokenOptions.class,
            SequenceOptions.class,
            LinearOptions.class),
    DIVERGENCE(DivergenceOperand.values(), DivergenceOperand.RULES, DivergenceOptions.class),
    SCORING_RULE(ScoringRuleOperand.values(), ScoringRuleOperand.RULES, ScoringRuleOptions.class);

    private final List<Operand> operands;
    private final Rules rules;
    private final List<Class<?>> options;
    private final boolean isLinear;

    Signature(Operand[] operands, Rules rules, Class<?>... options) {
        this.operands = List.of(operands);
        this.rules = rules;
        this.options = List.of(options);
        this.isLinear = this.options.contains(LinearOptions.class);
    }

    /** The operation's name, such as {@code token_logprobs}. */
    public String id() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** In the order in which they are checked. */
    public List<Operand> operands() {
        return operands;
    }

    /** The types of the option records; that of a loss is the interface of its kind. */
    public List<Class<?>> options() {
        return options;
    }

    /** Whether its logits are matrix products that it makes itself. */
    public boolean isLinear() {
        return isLinear;
    }

    Rules rules() {
        return rules;
    }
}
