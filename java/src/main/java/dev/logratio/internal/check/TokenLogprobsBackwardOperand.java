package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.gradient;
import static dev.logratio.internal.check.Operand.Declaration.in;

import dev.logratio.TokenOptions;

/** The operands of {@code token_logprobs_backward}. */
public enum TokenLogprobsBackwardOperand implements Operand {
    LOGITS(in(Types.LOGITS, "N,V", "B,T,V").required()),
    LABELS(in(Types.INT, "N", "B,T").required()),
    LSE(in(Types.FLOAT, "N", "B,T").required()),
    ENTROPY(in(Types.FLOAT, "N", "B,T")),
    GRAD_LOGP(in(Types.FLOAT, "N", "B,T")),
    GRAD_ENTROPY(in(Types.FLOAT, "N", "B,T")),
    GRAD_LSE(in(Types.FLOAT, "N", "B,T")),
    GRAD_LOGITS(gradient(LOGITS).required());

    static final Rules RULES =
            new Rules() {
                @Override
                public void presence(Call call) {
                    if (!call.has(GRAD_LOGP) && !call.has(GRAD_ENTROPY) && !call.has(GRAD_LSE)) {
                        throw new IllegalArgumentException(
                                "grad_logp, grad_entropy and grad_lse are missing, expected at"
                                        + " least one of them");
                    }
                    if (call.has(GRAD_ENTROPY) && !call.has(ENTROPY)) {
                        throw call.missing(ENTROPY, ", as grad_entropy is given");
                    }
                }

                @Override
                public void shapes(Call call) {
                    Values.columns(call, call.option(TokenOptions.class).vocab());
                }

                @Override
                public void values(Call call) {
                    Values.labels(call, LABELS);
                }
            };

    private final Declaration declaration;

    TokenLogprobsBackwardOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
