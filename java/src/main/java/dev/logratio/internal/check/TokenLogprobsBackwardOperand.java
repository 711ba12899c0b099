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
    GRAD_LOGITS(gradient(LOGITS).required()),
    KEPT_OFFSETS(in(Types.INT, "N+1").orElse("all columns")),
    KEPT_IDS(in(Types.INT, "M").orElse("all columns"));

    static final Rules RULES =
            new Rules() {
                @Override
                public void presence(Call call) {
                    Values.bothOrNone(call, KEPT_OFFSETS, KEPT_IDS);
                    if (!call.has(GRAD_LOGP) && !call.has(GRAD_ENTROPY)) {
                        throw new IllegalArgumentException(
                                "grad_logp and grad_entropy are missing, expected at least one of"
                                        + " them");
                    }
                    if (call.has(GRAD_ENTROPY) && !call.has(ENTROPY)) {
                        throw call.missing(ENTROPY, ", as grad_entropy is given");
                    }
                }

                @Override
                public void shapes(Call call) {
                    Kept.shape(call, KEPT_OFFSETS, LOGITS);
                }

                @Override
                public void values(Call call) {
                    long ignored = call.option(TokenOptions.class).ignoreIndex();
                    Values.labels(LABELS, call.get(LABELS), call.size('V'), ignored);
                    Kept.values(call, KEPT_OFFSETS, KEPT_IDS);
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
