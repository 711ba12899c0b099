package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.loss.Loss;

/** The operands of {@code pair_loss}; the letter L stands for the number of losses. */
public enum PairLossOperand implements Operand {
    POLICY_CHOSEN(in(Types.FLOAT, "P").required()),
    POLICY_REJECTED(in(Types.FLOAT, "P").required()),
    REFERENCE_CHOSEN(in(Types.FLOAT, "P").when(Presence.REFERENCE)),
    REFERENCE_REJECTED(in(Types.FLOAT, "P").when(Presence.REFERENCE)),
    CHOSEN_COUNTS(in(Types.COUNT, "P").orElse("1")),
    REJECTED_COUNTS(in(Types.COUNT, "P").orElse("1")),
    GRAD_LOSS(in(Types.FLOAT, "L").orElse("1/L, the gradient of the mean")),
    BETA(in(Types.FLOAT, "1|P").when(Presence.OPTION)),
    BETA_KL(in(Types.FLOAT, "1|P").when(Presence.OPTION)),
    BETA_MIX(in(Types.FLOAT, "1|P").when(Presence.OPTION)),
    TAU(in(Types.FLOAT, "1|P").when(Presence.OPTION)),
    LOSS(out(Types.FLOAT, "L")),
    CHOSEN_REWARDS(out(Types.FLOAT, "P")),
    REJECTED_REWARDS(out(Types.FLOAT, "P")),
    GRAD_POLICY_CHOSEN(out(Types.FLOAT, "P")),
    GRAD_POLICY_REJECTED(out(Types.FLOAT, "P")),
    GRAD_REFERENCE_CHOSEN(out(Types.FLOAT, "P")),
    GRAD_REFERENCE_REJECTED(out(Types.FLOAT, "P")),
    GRAD_BETA(out(Types.FLOAT, "1|P").when(Presence.OPTION_GRADIENT)),
    GRAD_BETA_KL(out(Types.FLOAT, "1|P").when(Presence.OPTION_GRADIENT)),
    GRAD_BETA_MIX(out(Types.FLOAT, "1|P").when(Presence.OPTION_GRADIENT)),
    GRAD_TAU(out(Types.FLOAT, "1|P").when(Presence.OPTION_GRADIENT));

    static final Rules RULES =
            new Rules() {
                @Override
                public void presence(Call call) {
                    Values.bothOrNone(call, CHOSEN_COUNTS, REJECTED_COUNTS);
                    requireReference(call, GRAD_REFERENCE_CHOSEN);
                    requireReference(call, GRAD_REFERENCE_REJECTED);
                    ParameterTensors.presence(call, call.option(Loss.Paired.class));
                }

                @Override
                public void sizes(Call call) {
                    int each = call.option(Loss.Paired.class).lossesPerPair();
                    call.derive('L', each, 'P');
                }

                @Override
                public void shapes(Call call) {
                    Loss.Paired loss = call.option(Loss.Paired.class);
                    Values.enoughPairs(call, POLICY_CHOSEN, call.size('P'), loss);
                    ParameterTensors.shapes(call);
                }

                @Override
                public void values(Call call) {
                    ParameterTensors.values(call, call.option(Loss.Paired.class));
                }

                @Override
                public void warn(Call call) {
                    GuardWarning.logIfDue(call.option(Loss.Paired.class), call);
                }
            };

    private static void requireReference(Call call, Operand gradient) {
        if (call.has(gradient) && !call.has(REFERENCE_CHOSEN)) {
            throw new IllegalArgumentException(
                    gradient.id() + " is wanted, expected a reference with it");
        }
    }

    private final Declaration declaration;

    PairLossOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
