package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.internal.check.LinearRules.Head;

import java.util.stream.Stream;

/** The operands of {@code linear_token_logprobs}. */
public enum LinearTokenLogprobsOperand implements Operand {
    HIDDEN(in(Types.LOGITS, "N,H", "B,T,H").required()),
    WEIGHT(in(Types.LOGITS, "V,H").required()),
    BIAS(in(Types.LOGITS, "V").orElse("0")),
    LABELS(in(Types.INT, "N", "B,T").required()),
    GRAD_LOGP(in(Types.FLOAT, "N", "B,T")),
    GRAD_ENTROPY(in(Types.FLOAT, "N", "B,T")),
    GRAD_LSE(in(Types.FLOAT, "N", "B,T")),
    LOGP(out(Types.FLOAT, "N", "B,T")),
    LSE(out(Types.FLOAT, "N", "B,T")),
    LSE2(out(Types.FLOAT, "N", "B,T")),
    ENTROPY(out(Types.FLOAT, "N", "B,T")),
    ARGMAX(out(Types.INT, "N", "B,T")),
    MEAN_LOGIT(out(Types.FLOAT, "N", "B,T")),
    GRAD_HIDDEN(out(Types.LOGITS, "N,H", "B,T,H")),
    GRAD_WEIGHT(out(Types.LOGITS, "V,H")),
    GRAD_BIAS(out(Types.LOGITS, "V"));

    static final Rules RULES =
            new LinearRules(
                    new Head(HIDDEN, WEIGHT, BIAS),
                    new Head(GRAD_HIDDEN, GRAD_WEIGHT, GRAD_BIAS),
                    null,
                    new Rules() {
                        @Override
                        public void presence(Call call) {
                            boolean wantsGradient =
                                    Stream.of(GRAD_HIDDEN, GRAD_WEIGHT, GRAD_BIAS)
                                            .anyMatch(call::has);
                            boolean hasUpstream =
                                    Stream.of(GRAD_LOGP, GRAD_ENTROPY, GRAD_LSE)
                                            .anyMatch(call::has);
                            if (wantsGradient && !hasUpstream) {
                                throw new IllegalArgumentException(
                                        "grad_logp, grad_entropy and grad_lse are missing,"
                                                + " expected at least one of them");
                            }
                        }

                        @Override
                        public void values(Call call) {
                            Values.labels(call, LABELS);
                        }
                    });

    private final Declaration declaration;

    LinearTokenLogprobsOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
