package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.internal.check.LinearRules.Head;
import dev.logratio.internal.check.Operand.Presence;

/** The operands of {@code linear_unpaired_step}. */
public enum LinearUnpairedStepOperand implements Operand {
    HIDDEN(in(Types.LOGITS, "B,T,H", "N,H").required()),
    WEIGHT(in(Types.LOGITS, "V,H").required()),
    BIAS(in(Types.LOGITS, "V").orElse("0")),
    CU_SEQLENS(in(Types.INT, "B+1").when(Presence.PACKED)),
    LABELS(in(Types.INT, "B,T", "N").required()),
    MASK(in(Types.MASK, "B,T", "N").orElse("1 where the label is not the ignore_index")),
    CHOSEN(in(Types.FLAG, "B").required()),
    REFERENCE_LOGPS(in(Types.FLOAT, "B")),
    REFERENCE_TOKEN_LOGPS(in(Types.FLOAT, "B,T", "N")),
    KL_POLICY_LOGPS(in(Types.FLOAT, "C").orElse("kl 0")),
    KL_REFERENCE_LOGPS(in(Types.FLOAT, "C").orElse("kl 0")),
    WEIGHTS(in(Types.FLOAT, "B").orElse("1")),
    GRAD_LOSS(in(Types.FLOAT, "1").orElse("1")),
    LOSSES(out(Types.FLOAT, "B")),
    LOGPS(out(Types.FLOAT, "B")),
    COUNTS(out(Types.FLOAT, "B")),
    REWARDS(out(Types.FLOAT, "B")),
    KL(out(Types.FLOAT, "1")),
    GRAD_HIDDEN(out(Types.LOGITS, "B,T,H", "N,H")),
    GRAD_WEIGHT(out(Types.LOGITS, "V,H")),
    GRAD_BIAS(out(Types.LOGITS, "V"));

    static final Rules RULES =
            new LinearRules(
                    new Head(HIDDEN, WEIGHT, BIAS),
                    new Head(GRAD_HIDDEN, GRAD_WEIGHT, GRAD_BIAS),
                    null,
                    new ExampleRules(
                            CU_SEQLENS,
                            LABELS,
                            MASK,
                            REFERENCE_LOGPS,
                            REFERENCE_TOKEN_LOGPS,
                            KL_POLICY_LOGPS,
                            KL_REFERENCE_LOGPS,
                            WEIGHTS));

    private final Declaration declaration;

    LinearUnpairedStepOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
