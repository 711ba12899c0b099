package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.loss.Loss;

/** The operands of {@code unpaired_loss}. */
public enum UnpairedLossOperand implements Operand {
    POLICY_LOGPS(in(Types.FLOAT, "B").required()),
    REFERENCE_LOGPS(in(Types.FLOAT, "B").required()),
    CHOSEN(in(Types.FLAG, "B").required()),
    KL_POLICY_LOGPS(in(Types.FLOAT, "C").orElse("kl 0")),
    KL_REFERENCE_LOGPS(in(Types.FLOAT, "C").orElse("kl 0")),
    GRAD_LOSS(in(Types.FLOAT, "B").orElse("1/B, the gradient of the mean")),
    LOSS(out(Types.FLOAT, "B")),
    REWARDS(out(Types.FLOAT, "B")),
    KL(out(Types.FLOAT, "1")),
    GRAD_POLICY_LOGPS(out(Types.FLOAT, "B")),
    GRAD_REFERENCE_LOGPS(out(Types.FLOAT, "B"));

    static final Rules RULES =
            new Rules() {
                @Override
                public void presence(Call call) {
                    Values.bothOrNone(call, KL_POLICY_LOGPS, KL_REFERENCE_LOGPS);
                    Values.klWithItsLoss(call, KL_POLICY_LOGPS, call.option(Loss.Unpaired.class));
                }
            };

    private final Declaration declaration;

    UnpairedLossOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
