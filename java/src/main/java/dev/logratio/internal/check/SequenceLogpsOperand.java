package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.SequenceOptions;
import dev.logratio.internal.check.Operand.Presence;

/** The operands of {@code sequence_logps}. */
public enum SequenceLogpsOperand implements Operand {
    MASK(in(Types.MASK, "B,T", "N").required()),
    CU_SEQLENS(in(Types.INT, "B+1").when(Presence.PACKED)),
    TOKEN_LOGPS(in(Types.FLOAT, "B,T", "N")),
    GRAD_LOGPS(in(Types.FLOAT, "B")),
    LOGPS(out(Types.FLOAT, "B")),
    COUNTS(out(Types.FLOAT, "B")),
    GRAD_TOKEN_LOGPS(out(Types.FLOAT, "B,T", "N"));

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
                    Values.hasSequences(CU_SEQLENS, call, call.get(MASK).elementCount());
                    boolean paired = call.option(SequenceOptions.class).tailWeight() < 1;
                    if (paired && call.size('B') % 2 != 0) {
                        throw call.mismatch(
                                call.has(CU_SEQLENS) ? CU_SEQLENS : MASK,
                                "an even number of sequences as tail_weight is below 1");
                    }
                }

                @Override
                public void values(Call call) {
                    long tokens = call.get(MASK).elementCount();
                    Values.cuSeqlens(CU_SEQLENS, call.get(CU_SEQLENS), tokens);
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
