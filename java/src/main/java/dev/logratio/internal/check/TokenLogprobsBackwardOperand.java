package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.gradient;
import static dev.logratio.internal.check.Operand.Declaration.in;

import java.util.stream.Stream;

/** The operands of {@code token_logprobs_backward}. */
public enum TokenLogprobsBackwardOperand implements Operand {
    LOGITS(in(Types.LOGITS, "N,V", "B,T,V").required()),
    LABELS(in(Types.INT, "N", "B,T", "N,K", "B,T,K").required()),
    LSE(in(Types.FLOAT, "N", "B,T").required()),
    ENTROPY(in(Types.FLOAT, "N", "B,T")),
    TAIL(in(Types.FLOAT, "N", "B,T")),
    GRAD_LOGP(in(Types.FLOAT, "N", "B,T", "N,K", "B,T,K")),
    GRAD_ENTROPY(in(Types.FLOAT, "N", "B,T")),
    GRAD_LSE(in(Types.FLOAT, "N", "B,T")),
    GRAD_TAIL(in(Types.FLOAT, "N", "B,T")),
    GRAD_LOGITS(gradient(LOGITS).required()),
    KEPT_OFFSETS(in(Types.INT, "N+1").orElse("all columns")),
    KEPT_IDS(in(Types.INT, "M").orElse("all columns"));

    static final Rules RULES =
            new Rules() {
                @Override
                public void presence(Call call) {
                    Values.bothOrNone(call, KEPT_OFFSETS, KEPT_IDS);
                    if (Stream.of(GRAD_LOGP, GRAD_ENTROPY, GRAD_LSE, GRAD_TAIL)
                            .noneMatch(call::has)) {
                        throw new IllegalArgumentException(
                                "grad_logp, grad_entropy, grad_lse and grad_tail are missing,"
                                        + " expected at least one of them");
                    }
                    if (call.has(GRAD_ENTROPY) && !call.has(ENTROPY)) {
                        throw call.missing(ENTROPY, ", as grad_entropy is given");
                    }
                    if (call.has(GRAD_TAIL) && !call.has(TAIL)) {
                        throw call.missing(TAIL, ", as grad_tail is given");
                    }
                }

                @Override
                public void shapes(Call call) {
                    Labels.check(call, LABELS, TAIL, GRAD_TAIL);
                    Kept.shape(call, KEPT_OFFSETS, LOGITS, LABELS);
                }

                @Override
                public void values(Call call) {
                    Labels.checkValues(call, LABELS);
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
