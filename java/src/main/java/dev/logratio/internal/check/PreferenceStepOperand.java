package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.gradient;
import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.internal.check.Operand.Presence;

/** The operands of {@code preference_step}. */
public enum PreferenceStepOperand implements Operand {
    LOGITS(in(Types.LOGITS, "2P,T,V", "N,V").required()),
    CU_SEQLENS(in(Types.INT, "2P+1").when(Presence.PACKED)),
    LABELS(in(Types.INT, "2P,T", "N").required()),
    MASK(in(Types.MASK, "2P,T", "N").orElse("1 where the label is not the ignore_index")),
    REFERENCE_LOGPS(in(Types.FLOAT, "2P").when(Presence.ONE_REFERENCE)),
    REFERENCE_TOKEN_LOGPS(in(Types.FLOAT, "2P,T", "N").when(Presence.ONE_REFERENCE)),
    PAIR_WEIGHTS(in(Types.FLOAT, "P").orElse("1")),
    GRAD_LOSS(in(Types.FLOAT, "1").orElse("1")),
    NLL_MASK(in(Types.MASK, "2P,T", "N").orElse("the mask")),
    BETA(in(Types.FLOAT, "1|P").when(Presence.OPTION)),
    BETA_KL(in(Types.FLOAT, "1|P").when(Presence.OPTION)),
    BETA_MIX(in(Types.FLOAT, "1|P").when(Presence.OPTION)),
    TAU(in(Types.FLOAT, "1|P").when(Presence.OPTION)),
    LOSSES(out(Types.FLOAT, "P")),
    LOGPS(out(Types.FLOAT, "2P")),
    COUNTS(out(Types.FLOAT, "2P")),
    CHOSEN_REWARDS(out(Types.FLOAT, "P")),
    REJECTED_REWARDS(out(Types.FLOAT, "P")),
    GRAD_LOGITS(gradient(LOGITS)),
    GRAD_BETA(out(Types.FLOAT, "1|P").when(Presence.OPTION_GRADIENT)),
    GRAD_BETA_KL(out(Types.FLOAT, "1|P").when(Presence.OPTION_GRADIENT)),
    GRAD_BETA_MIX(out(Types.FLOAT, "1|P").when(Presence.OPTION_GRADIENT)),
    GRAD_TAU(out(Types.FLOAT, "1|P").when(Presence.OPTION_GRADIENT));

    static final Rules RULES =
            new StepRules(LOGITS, CU_SEQLENS, LABELS, MASK, PAIR_WEIGHTS, NLL_MASK);

    private final Declaration declaration;

    PreferenceStepOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
