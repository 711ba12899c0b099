package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.loss.Dlrml;
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
    BETA_KL(in(Types.FLOAT, "1").when(Presence.OPTION)),
    BETA_MIX(in(Types.FLOAT, "1").when(Presence.OPTION)),
    TAU(in(Types.FLOAT, "1").when(Presence.OPTION)),
    LOSS(out(Types.FLOAT, "L")),
    CHOSEN_REWARDS(out(Types.FLOAT, "P")),
    REJECTED_REWARDS(out(Types.FLOAT, "P")),
    GRAD_POLICY_CHOSEN(out(Types.FLOAT, "P")),
    GRAD_POLICY_REJECTED(out(Types.FLOAT, "P")),
    GRAD_REFERENCE_CHOSEN(out(Types.FLOAT, "P")),
    GRAD_REFERENCE_REJECTED(out(Types.FLOAT, "P")),
    GRAD_BETA(out(Types.FLOAT, "1").when(Presence.OPTION_GRADIENT)),
    GRAD_BETA_KL(out(Types.FLOAT, "1").when(Presence.OPTION_GRADIENT)),
    GRAD_BETA_MIX(out(Types.FLOAT, "1").when(Presence.OPTION_GRADIENT)),
    GRAD_TAU(out(Types.FLOAT, "1").when(Presence.OPTION_GRADIENT));

    private static final PairLossOperand[] ALL = values();

    static final Rules RULES =
            new Rules() {
                @Override
                public void presence(Call call) {
                    Values.bothOrNone(call, CHOSEN_COUNTS, REJECTED_COUNTS);
                    requireReference(call, GRAD_REFERENCE_CHOSEN);
                    requireReference(call, GRAD_REFERENCE_REJECTED);
                    for (PairLossOperand operand : ALL) {
                        if (call.has(operand)) {
                            requireOption(call, operand);
                        }
                    }
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
                }

                @Override
                public void values(Call call) {
                    effective(call); // whose constructor checks them
                }

                @Override
                public void warn(Call call) {
                    GuardWarning.logIfDue(effective(call));
                }
            };

    private static void requireReference(Call call, Operand gradient) {
        if (call.has(gradient) && !call.has(REFERENCE_CHOSEN)) {
            throw new IllegalArgumentException(
                    gradient.id() + " is wanted, expected a reference with it");
        }
    }

    private static void requireOption(Call call, PairLossOperand operand) {
        Loss.Paired loss = call.option(Loss.Paired.class);
        Presence presence = operand.declaration().presence();
        if (presence == Presence.OPTION && !loss.takesLearnedParameters()) {
            throw new IllegalArgumentException(
                    operand.id()
                            + " is given as a tensor, expected it only with the loss dlrml, not "
                            + loss.id());
        }
        if (presence == Presence.OPTION_GRADIENT) {
            String option = operand.id().substring("grad_".length());
            if (!loss.gradientOptions().contains(option)) {
                throw new IllegalArgumentException(
                        operand.id()
                                + " is wanted, expected a loss with the option "
                                + option
                                + ", not "
                                + loss.id());
            }
        }
    }

    /**
     * The loss with the values of the tensors that take the place of options; those on a device are
     * not read.
     */
    public static Loss.Paired effective(Call call) {
        Loss.Paired loss = call.option(Loss.Paired.class);
        if (!call.has(BETA_KL) && !call.has(BETA_MIX) && !call.has(TAU)) {
            return loss;
        }
        Dlrml options = (Dlrml) loss;
        return new Dlrml(
                Values.number(call.get(BETA_KL), options.betaKl()),
                Values.number(call.get(BETA_MIX), options.betaMix()),
                Values.number(call.get(TAU), options.tau()),
                options.guard(),
                options.fDivergence());
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
