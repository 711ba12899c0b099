package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.SequenceOptions;

/** The operands of {@code sequence_logps}. */
public enum SequenceLogpsOperand implements Operand {
    MASK(in(Types.MASK, "B,T").required()),
    TOKEN_LOGPS(in(Types.FLOAT, "B,T")),
    GRAD_LOGPS(in(Types.FLOAT, "B")),
    LOGPS(out(Types.FLOAT, "B")),
    COUNTS(out(Types.FLOAT, "B")),
    GRAD_TOKEN_LOGPS(out(Types.FLOAT, "B,T"));

    static final Rules RULES =
            new Rules() {
                @Override
                public void presence(Call call) {
                    if (call.has(LOGPS) && !call.has(TOKEN_LOGPS)) {
                        throw call.missing(TOKEN_LOGPS, ", as logps is wanted");
                    }
                    Values.bothOrNone(call, GRAD_LOGPS, GRAD_TOKEN_LOGPS);
                }

                @Override
                public void shapes(Call call) {
                    boolean paired = call.option(SequenceOptions.class).tailWeight() < 1;
                    if (paired && call.size('B') % 2 != 0) {
                        throw call.mismatch(
                                MASK, "an even number of sequences as tail_weight is below 1");
                    }
                }

                @Override
                public void values(Call call) {
                    Values.weights(MASK, call.get(MASK));
                }
            };

    private final Declaration declaration;

    SequenceLogpsOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
