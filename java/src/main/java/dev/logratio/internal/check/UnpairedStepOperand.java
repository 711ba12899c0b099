package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.gradient;
import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.SequenceOptions;
import dev.logratio.TokenOptions;
import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.loss.Loss;

/** The operands of {@code unpaired_step}. */
public enum UnpairedStepOperand implements Operand {
    LOGITS(in(Types.LOGITS, "B,T,V", "N,V").required()),
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
    GRAD_LOGITS(gradient(LOGITS));

    static final Rules RULES =
            new Rules() {
                @Override
                public void options(Call call) {
                    double tailWeight = call.option(SequenceOptions.class).tailWeight();
                    if (tailWeight != 1) {
                        throw new IllegalArgumentException(
                                "tail_weight is "
                                        + tailWeight
                                        + ", expected 1 as examples are not paired");
                    }
                }

                @Override
                public void presence(Call call) {
                    Values.bothOrNone(call, KL_POLICY_LOGPS, KL_REFERENCE_LOGPS);
                    Values.exactlyOne(call, REFERENCE_LOGPS, REFERENCE_TOKEN_LOGPS);
                    Values.klWithItsLoss(call, KL_POLICY_LOGPS, call.option(Loss.Unpaired.class));
                }

                @Override
                public void shapes(Call call) {
                    Values.hasSequences(CU_SEQLENS, call, call.get(LABELS).elementCount());
                }

                @Override
                public void values(Call call) {
                    long tokens = call.get(LABELS).elementCount();
                    Values.cuSeqlens(CU_SEQLENS, call.get(CU_SEQLENS), tokens);
                    long ignored = call.option(TokenOptions.class).ignoreIndex();
                    Values.labels(LABELS, call.get(LABELS), call.size('V'), ignored);
                    Values.weights(MASK, call.get(MASK));
                    Values.weights(WEIGHTS, call.get(WEIGHTS));
                }
            };

    private final Declaration declaration;

    UnpairedStepOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
