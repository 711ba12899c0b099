package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.gradient;
import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.SequenceOptions;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.TokenOptions;
import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

/** The operands of {@code preference_step}. */
public enum PreferenceStepOperand implements Operand {
    LOGITS(in(Types.LOGITS, "2P,T,V").required()),
    LABELS(in(Types.INT, "2P,T").required()),
    MASK(in(Types.MASK, "2P,T").orElse("1 where the label is not the ignore_index")),
    REFERENCE_LOGPS(in(Types.FLOAT, "2P").when(Presence.ONE_REFERENCE)),
    REFERENCE_TOKEN_LOGPS(in(Types.FLOAT, "2P,T").when(Presence.ONE_REFERENCE)),
    LOSSES(out(Types.FLOAT, "P")),
    LOGPS(out(Types.FLOAT, "2P")),
    COUNTS(out(Types.FLOAT, "2P")),
    GRAD_LOGITS(gradient(LOGITS));

    static final Rules RULES =
            new Rules() {
                @Override
                public void options(Call call) {
                    StepOptions step = call.option(StepOptions.class);
                    for (int k = 0; k < step.losses().size(); k++) {
                        requireAllowed(call, step, step.losses().get(k));
                    }
                }

                @Override
                public void shapes(Call call) {
                    StepOptions step = call.option(StepOptions.class);
                    for (int k = 0; k < step.losses().size(); k++) {
                        if (step.losses().get(k).loss() instanceof Loss.Paired paired) {
                            Values.enoughPairs(call, LOGITS, call.size('P'), paired);
                        }
                    }
                    Values.columns(call, call.option(TokenOptions.class).vocab());
                }

                @Override
                public void values(Call call) {
                    Values.labels(call, LABELS);
                    Values.weights(MASK, call.get(MASK));
                }

                @Override
                public void warn(Call call) {
                    StepOptions step = call.option(StepOptions.class);
                    for (int k = 0; k < step.losses().size(); k++) {
                        GuardWarning.logIfDue(step.losses().get(k).loss());
                    }
                }
            };

    private static void requireAllowed(Call call, StepOptions step, WeightedLoss term) {
        Reduction reduction = call.option(SequenceOptions.class).reduction();
        if (term.loss().dividesByLength() && reduction == Reduction.MEAN) {
            throw new IllegalArgumentException(
                    "reduction is mean, expected sum as loss "
                            + term.loss().id()
                            + " divides by length itself");
        }
        if (step.wpo() && term.loss() instanceof Loss.Paired paired && paired.ofRanks()) {
            throw new IllegalArgumentException(
                    "wpo is on, expected it off as the losses of "
                            + paired.id()
                            + " belong to ranks, not to pairs");
        }
    }

    private final Declaration declaration;

    PreferenceStepOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
