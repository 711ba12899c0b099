package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.gradient;
import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.ScoringRuleOptions;

/** The operands of {@code scoring_rule}. */
public enum ScoringRuleOperand implements Operand {
    LOGITS(in(Types.LOGITS, "N,V", "B,T,V").required()),
    LABELS(in(Types.INT, "N", "B,T").required()),
    GRAD_LOSS(
            in(Types.FLOAT, "N", "B,T")
                    .orElse("1 over the rows that are not ignored, the gradient of the mean")),
    VALUES(out(Types.FLOAT, "N", "B,T")),
    LOSS(out(Types.FLOAT, "1")),
    GRAD_LOGITS(gradient(LOGITS));

    static final Rules RULES =
            new Rules() {
                @Override
                public void shapes(Call call) {
                    Values.columns(call, call.option(ScoringRuleOptions.class).vocab());
                }

                @Override
                public void values(Call call) {
                    long ignored = call.option(ScoringRuleOptions.class).ignoreIndex();
                    Values.labels(LABELS, call.get(LABELS), vocab(call), ignored);
                }
            };

    /** The columns that take part. */
    public static long vocab(Call call) {
        return Values.columns(call, call.option(ScoringRuleOptions.class).vocab());
    }

    private final Declaration declaration;

    ScoringRuleOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
