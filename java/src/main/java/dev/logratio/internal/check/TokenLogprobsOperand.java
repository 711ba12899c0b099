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
    TAIL(out(Types.FLOAT, "N", "B,T"));

    static final Rules RULES =
            new Rules() {
                @Override
                public void shapes(Call call) {
                    Labels.check(call, LABELS, TAIL);
                }

                @Override
                public void values(Call call) {
                    Labels.checkValues(call, LABELS);
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
