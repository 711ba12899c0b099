package dev.logratio.property;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;

import java.util.Arrays;
import java.util.List;

/** The backward of per-token log-probs, after the backend's own forward. */
record TokenLogprobsBackwardCase(
        Draw draw,
        TokenRows rows,
        KeptSets kept,
        DType carried,
        Tensor gradLogp,
        Tensor gradEntropy,
        Tensor gradLse,
        Tensor gradTail,
        boolean inPlace)
        implements PropertyCase {
    static TokenLogprobsBackwardCase drawn(Draw draw) {
        TokenRows rows = TokenRows.drawn(draw);
        Tensor[] upstream = new Tensor[4];
        Arrays.setAll(
                upstream, i -> upstream(draw, i == 0 ? rows.labels().shape() : rows.rowShape()));
        boolean ofLogp = draw.chance(.7);
        boolean ofEntropy = !ofLogp || draw.chance(.5);
        boolean ofLse = draw.chance(.3);
        boolean ofTail = rows.perRow() > 0 && draw.chance(.6);
        return new TokenLogprobsBackwardCase(
                draw,
                rows,
                KeptSets.drawn(draw, rows),
                draw.wideFloat(),
                ofLogp ? upstream[0] : null,
                ofEntropy ? upstream[1] : null,
                ofLse ? upstream[2] : null,
                ofTail ? upstream[3] : null,
                draw.chance(.3));
    }

    private static Tensor upstream(Draw draw, long[] shape) {
        int count = (int) Arrays.stream(shape).reduce(1, (a, b) -> a * b);
        return draw.tensor(draw.wideFloat(), draw.upstreams(count), shape);
    }

    @Override
    public String description() {
        return "%s, lse and entropy %s".formatted(rows.description() + kept.description(), carried)
                + (gradLogp == null ? "" : ", grad_logp " + gradLogp)
                + (gradEntropy == null ? "" : ", grad_entropy " + gradEntropy)
                + (gradLse == null ? "" : ", grad_lse " + gradLse)
                + (gradTail == null ? "" : ", grad_tail " + gradTail);
    }

    @Override
    public List<Output> run(Backend backend) {
        boolean exact = backend == Backend.reference();
        DType dtype = exact ? DType.F64 : rows.logits().dtype();
        Tensor logits = exact ? draw.doubles(rows.logits()) : draw.copy(rows.logits());
        Tensor lse = draw.zeros(exact ? DType.F64 : carried, rows.rowShape());
        Tensor entropy = draw.zeros(exact ? DType.F64 : carried, rows.rowShape());
        Tensor tail = draw.zeros(exact ? DType.F64 : carried, rows.rowShape());
        TokenLogprobs forward =
                TokenLogprobs.of(logits, rows.labels())
                        .tokenOptions(rows.options())
                        .lse(lse)
                        .entropy(entropy);
        if (gradTail != null) {
            forward.tail(tail);
        }
        if (kept.isThere()) {
            forward.keptOffsets(kept.offsets()).keptIds(kept.ids());
        }
        forward.run(backend);
        Tensor gradient = inPlace ? logits : draw.zeros(dtype, logits.shape());
        TokenLogprobsBackward call =
                TokenLogprobsBackward.of(logits, rows.labels(), lse)
                        .tokenOptions(rows.options())
                        .gradLogits(gradient);
        if (kept.isThere()) {
            call.keptOffsets(kept.offsets()).keptIds(kept.ids());
        }
        if (gradLogp != null) {
            call.gradLogp(gradLogp);
        }
        if (gradEntropy != null) {
            call.entropy(entropy).gradEntropy(gradEntropy);
        }
        if (gradLse != null) {
            call.gradLse(gradLse);
        }
        if (gradTail != null) {
            call.tail(tail).gradTail(gradTail);
        }
        call.run(backend);
        Output output = new Output("grad_logits", gradient);
        return List.of(
                exact ? output.withSlack(slack(lse.toDoubles(), entropy.toDoubles())) : output);
    }

    /**
     * Where a whole tensor is nearly 0, as it is where rows are certain or tied, what float32
     * leaves of its log-sum-exp and entropy, of the size that they have to be good for, and of
     * probabilities near 1.
     */
    private double[] slack(double[] lse, double[] entropy) {
        int vocabulary = (int) rows.logits().size(rows.logits().rank() - 1);
        double[] ofLogp = sizes(gradLogp, lse.length);
        double[] ofEntropy = sizes(gradEntropy, lse.length);
        double[] ofLse = sizes(gradLse, lse.length);
        double[] ofTail = sizes(gradTail, lse.length);
        double[] slack = new double[lse.length * vocabulary];
        for (int row = 0; row < lse.length; row++) {
            double rounding =
                    0x1p-23 * Math.clamp(Math.abs(lse[row]), 1, 128) / rows.options().temperature();
            double ofRow =
                    rounding
                            * (ofLogp[row]
                                    + 2 * ofEntropy[row] * (1 + entropy[row])
                                    + ofLse[row]
                                    + 2 * ofTail[row]);
            Arrays.fill(
                    slack,
                    row * vocabulary,
                    (row + 1) * vocabulary,
                    Double.isFinite(ofRow) ? ofRow : 0);
        }
        return slack;
    }

    /** How much comes from upstream of each row, whatever its signs. */
    private static double[] sizes(Tensor upstream, int rows) {
        double[] sizes = new double[rows];
        double[] values = upstream == null ? new double[0] : upstream.toDoubles();
        for (int i = 0; i < values.length; i++) {
            sizes[i / (values.length / rows)] += Math.abs(values[i]);
        }
        return sizes;
    }
}
