package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.gradient;
import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.DivergenceOptions.Detach;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.List;
import java.util.stream.Stream;

/** The operands of {@code divergence}. */
public enum DivergenceOperand implements Operand {
    P_LOGITS(in(Types.LOGITS, "N,V").required()),
    Q_LOGITS(in(Types.LOGITS, "M,V", "R,M,V")),
    Q_WEIGHTS(in(Types.ROW_WEIGHTS, "M,V")),
    Q_TOPK_IDS(in(Types.INT, "M,J")),
    Q_TOPK_LOGPS(in(Types.FLOAT, "M,J")),
    Q_MODEL_WEIGHTS(in(Types.FLOAT, "R")),
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
                    Values.bothOrNone(call, P_ROWS, Q_ROWS);
                    Values.bothOrNone(call, Q_TOPK_IDS, Q_TOPK_LOGPS);
                    oneOfQ(call);
                    DivergenceKind kind = call.option(DivergenceOptions.class).divergence();
                    if (call.has(Q_TOPK_IDS) && !kind.takesTopk()) {
                        throw new IllegalArgumentException(
                                "q_topk_ids is given, expected divergence kl_pq, kl_qp or js, not "
                                        + kind.id());
                    }
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
                    Operand q =
                            call.has(Q_LOGITS)
                                    ? Q_LOGITS
                                    : call.has(Q_WEIGHTS) ? Q_WEIGHTS : Q_TOPK_IDS;
                    StridedTensor p = call.get(P_LOGITS);
                    if (q == Q_LOGITS && call.get(q).dtype() != p.dtype()) {
                        throw call.mismatch(q, p.dtype() + ", as p_logits is " + p);
                    }
                    requireModels(call);
                    if (!call.has(P_ROWS) && call.size('M') != call.size('N')) {
                        throw call.mismatch(
                                q,
                                call.size('N')
                                        + " rows, as p_logits is "
                                        + p
                                        + " without p_rows and q_rows");
                    }
                    long columns = vocab(call);
                    if (call.has(Q_TOPK_IDS) && call.size('J') > columns) {
                        throw call.mismatch(
                                Q_TOPK_IDS,
                                "at most " + columns + " ids in a row, one for each column");
                    }
                }

                @Override
                public void values(Call call) {
                    Values.distinctRows(P_ROWS, call.get(P_ROWS), call.size('N'));
                    Values.distinctRows(Q_ROWS, call.get(Q_ROWS), call.size('M'));
                    Values.weights(ROW_WEIGHTS, call.get(ROW_WEIGHTS));
                    StridedTensor weights = call.get(Q_WEIGHTS);
                    if (weights != null) {
                        Values.weights(Q_WEIGHTS, weights.slice(1, 0, vocab(call)));
                        Values.positiveSums(Q_WEIGHTS, weights.slice(1, 0, vocab(call)));
                    }
                    Values.distinctInRows(Q_TOPK_IDS, call.get(Q_TOPK_IDS), vocab(call));
                    Values.logProbabilities(Q_TOPK_LOGPS, call.get(Q_TOPK_LOGPS), MOST_MASS);
                    Values.weights(Q_MODEL_WEIGHTS, call.get(Q_MODEL_WEIGHTS));
                    Values.positiveSum(Q_MODEL_WEIGHTS, call.get(Q_MODEL_WEIGHTS));
                }
            };

    /** What known log-probabilities may sum to. */
    public static final double MOST_MASS = 1 + 1e-3;

    private static void oneOfQ(Call call) {
        List<String> given =
                Stream.of(Q_LOGITS, Q_WEIGHTS, Q_TOPK_IDS)
                        .filter(call::has)
                        .map(Operand::id)
                        .toList();
        if (given.isEmpty()) {
            throw call.missing(Q_LOGITS, "");
        }
        if (given.size() > 1) {
            throw new IllegalArgumentException(
                    given.get(0)
                            + " and "
                            + given.get(1)
                            + " are both given, expected one of them");
        }
    }

    /** Weights of models come with logits of models. */
    private static void requireModels(Call call) {
        StridedTensor q = call.get(Q_LOGITS);
        boolean several = q != null && q.rank() == 3;
        if (call.has(Q_MODEL_WEIGHTS) && !several) {
            throw call.mismatch(Q_MODEL_WEIGHTS, "q_logits [R,M,V] with it");
        }
        if (several && !call.has(Q_MODEL_WEIGHTS)) {
            throw call.missing(Q_MODEL_WEIGHTS, ", as q_logits is " + q);
        }
        if (several && q.size(0) == 0) {
            throw call.mismatch(Q_LOGITS, "at least one model's logits");
        }
    }

    /** The columns that take part. */
    public static long vocab(Call call) {
        return Values.columns(call, call.option(DivergenceOptions.class).vocab(), P_LOGITS.id());
    }

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
