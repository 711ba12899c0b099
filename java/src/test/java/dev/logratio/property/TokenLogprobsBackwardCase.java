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
        boolean inPlace)
        implements PropertyCase {
    static TokenLogprobsBackwardCase drawn(Draw draw) {
        TokenRows rows = TokenRows.drawn(draw);
        int count = (int) rows.labels().elementCount();
        Tensor[] upstream = new Tensor[2];
        Arrays.setAll(
                upstream,
                i -> draw.tensor(draw.wideFloat(), draw.upstreams(count), rows.labels().shape()));
        boolean ofLogp = draw.chance(.7);
        boolean ofEntropy = !ofLogp || draw.chance(.5);
        return new TokenLogprobsBackwardCase(
                draw,
                rows,
                KeptSets.drawn(draw, rows),
                draw.wideFloat(),
                ofLogp ? upstream[0] : null,
                ofEntropy ? upstream[1] : null,
                draw.chance(.3));
    }

    @Override
    public String description() {
        return "%s, lse and entropy %s".formatted(rows.description() + kept.description(), carried)
                + (gradLogp == null ? "" : ", grad_logp " + gradLogp)
                + (gradEntropy == null ? "" : ", grad_entropy " + gradEntropy);
    }

    @Override
    public List<Output> run(Backend backend) {
        boolean exact = backend == Backend.reference();
        DType dtype = exact ? DType.F64 : rows.logits().dtype();
        Tensor logits = exact ? draw.doubles(rows.logits()) : draw.copy(rows.logits());
        Tensor lse = draw.zeros(exact ? DType.F64 : carried, rows.labels().shape());
        Tensor entropy = draw.zeros(exact ? DType.F64 : carried, rows.labels().shape());
        TokenLogprobs forward =
                TokenLogprobs.of(logits, rows.labels())
                        .tokenOptions(rows.options())
                        .lse(lse)
                        .entropy(entropy);
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
        double[] ofLogp = gradLogp == null ? new double[lse.length] : gradLogp.toDoubles();
        double[] ofEntropy = gradEntropy == null ? new double[lse.length] : gradEntropy.toDoubles();
        double[] slack = new double[lse.length * vocabulary];
        for (int row = 0; row < lse.length; row++) {
            double rounding =
                    0x1p-23 * Math.clamp(Math.abs(lse[row]), 1, 128) / rows.options().temperature();
            double ofRow =
                    rounding
                            * (Math.abs(ofLogp[row])
                                    + 2 * Math.abs(ofEntropy[row]) * (1 + entropy[row]));
            Arrays.fill(
                    slack,
                    row * vocabulary,
                    (row + 1) * vocabulary,
                    Double.isFinite(ofRow) ? ofRow : 0);
        }
        return slack;
    }
}
