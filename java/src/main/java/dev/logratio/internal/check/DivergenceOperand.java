package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.gradient;
import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.DivergenceOptions;
import dev.logratio.DivergenceOptions.Detach;
import dev.logratio.internal.tensor.StridedTensor;

/** The operands of {@code divergence}. */
public enum DivergenceOperand implements Operand {
    P_LOGITS(in(Types.LOGITS, "N,V").required()),
    Q_LOGITS(in(Types.LOGITS, "M,V")),
    Q_WEIGHTS(in(Types.ROW_WEIGHTS, "M,V")),
    P_ROWS(in(Types.INT, "K").orElse("0..N-1, with N = M")),
    Q_ROWS(in(Types.INT, "K").orElse("0..N-1, with N = M")),
    ROW_WEIGHTS(in(Types.FLOAT, "K").orElse("1")),
    GRAD_LOSS(in(Types.FLOAT, "1").orElse("1")),
    VALUES(out(Types.FLOAT, "K")),
    LOSS(out(Types.FLOAT, "1")),
    GRAD_P_LOGITS(gradient(P_LOGITS)),
    GRAD_Q_LOGITS(gradient(Q_LOGITS));

    static final Rules RULES =
            new Rules() {
                @Override
                public void presence(Call call) {
                    if (call.has(Q_LOGITS) == call.has(Q_WEIGHTS)) {
                        throw call.has(Q_LOGITS)
                                ? new IllegalArgumentException(
                                        "q_logits and q_weights are both given, expected one of"
                                                + " them")
                                : call.missing(Q_LOGITS, "");
                    }
                    Values.bothOrNone(call, P_ROWS, Q_ROWS);
                    Detach detached = call.option(DivergenceOptions.class).detach();
                    requireLive(call, GRAD_P_LOGITS, detached == Detach.P);
                    requireLive(call, GRAD_Q_LOGITS, detached == Detach.Q);
                }

                @Override
                public void sizes(Call call) {
                    if (!call.has(P_ROWS)) {
                        call.derive('K', 1, 'N');
                    }
                }

                @Override
                public void shapes(Call call) {
                    Operand q = call.has(Q_LOGITS) ? Q_LOGITS : Q_WEIGHTS;
                    StridedTensor p = call.get(P_LOGITS);
                    if (q == Q_LOGITS && call.get(q).dtype() != p.dtype()) {
                        throw call.mismatch(q, p.dtype() + ", as p_logits is " + p);
                    }
                    if (!call.has(P_ROWS) && call.size('M') != call.size('N')) {
                        throw call.mismatch(
                                q,
                                call.size('N')
                                        + " rows, as p_logits is "
                                        + p
                                        + " without p_rows and q_rows");
                    }
                }

                @Override
                public void values(Call call) {
                    Values.distinctRows(P_ROWS, call.get(P_ROWS), call.size('N'));
                    Values.distinctRows(Q_ROWS, call.get(Q_ROWS), call.size('M'));
                    Values.weights(ROW_WEIGHTS, call.get(ROW_WEIGHTS));
                    Values.weights(Q_WEIGHTS, call.get(Q_WEIGHTS));
                    Values.positiveSums(Q_WEIGHTS, call.get(Q_WEIGHTS));
                }
            };

    private static void requireLive(Call call, Operand gradient, boolean isDetached) {
        if (call.has(gradient) && isDetached) {
            throw new IllegalArgumentException(
                    gradient.id()
                            + " is wanted, expected "
                            + gradient.declaration().gradientOf().id()
                            + " not detached");
        }
    }

    private final Declaration declaration;

    DivergenceOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
