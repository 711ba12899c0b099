package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

/** The operands of {@code token_logprobs}. */
public enum TokenLogprobsOperand implements Operand {
    LOGITS(in(Types.LOGITS, "N,V", "B,T,V").required()),
    LABELS(in(Types.INT, "N", "B,T", "N,K", "B,T,K").required()),
    LOGP(out(Types.FLOAT, "N", "B,T", "N,K", "B,T,K")),
    LSE(out(Types.FLOAT, "N", "B,T")),
    LSE2(out(Types.FLOAT, "N", "B,T")),
    ENTROPY(out(Types.FLOAT, "N", "B,T")),
    ARGMAX(out(Types.INT, "N", "B,T")),
    MEAN_LOGIT(out(Types.FLOAT, "N", "B,T")),
    TAIL(out(Types.FLOAT, "N", "B,T")),
    KEPT_OFFSETS(in(Types.INT, "N+1").orElse("all columns")),
    KEPT_IDS(in(Types.INT, "M").orElse("all columns")),
    OUTSIDE(out(Types.LONG, "1"));

    static final Rules RULES =
            new Rules() {
                @Override
                public void presence(Call call) {
                    Values.bothOrNone(call, KEPT_OFFSETS, KEPT_IDS);
                    if (call.has(OUTSIDE) && !call.has(KEPT_IDS)) {
                        throw call.missing(KEPT_IDS, ", as outside is wanted");
                    }
                }

                @Override
                public void shapes(Call call) {
                    Labels.check(call, LABELS, TAIL);
                    Kept.shape(call, KEPT_OFFSETS, LOGITS, LABELS);
                }

                @Override
                public void values(Call call) {
                    Labels.checkValues(call, LABELS);
                    Kept.values(call, KEPT_OFFSETS, KEPT_IDS);
                }
            };

    private final Declaration declaration;

    TokenLogprobsOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
