package dev.logratio.property;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Divergence;
import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.DivergenceOptions.Detach;
import dev.logratio.DivergenceOptions.Reduction;
import dev.logratio.Tensor;

import java.util.Arrays;
import java.util.List;

/** Divergences from rows of which some log-probabilities are known. */
record TopkCase(
        Draw draw,
        DivergenceOptions options,
        List<String> kinds,
        Tensor p,
        Tensor ids,
        Tensor logps,
        Tensor rowWeights,
        Tensor gradLoss,
        DType[] outputs)
        implements PropertyCase {
    /** A rest is 0 by more than rounding, or more than that: it decides whether a value is inf. */
    private static final double NO_REST = 1.0005;

    static TopkCase drawn(Draw draw) {
        int columns = draw.vocabulary();
        int vocab = draw.chance(.7) ? columns : 1 + draw.below(columns);
        int rows = Math.min(columns > 5000 ? 1 : 7, draw.size(0, 1, 1, 2, 7));
        int known = Math.min(vocab, draw.size(0, 1, 2, 5, 64, 300));
        DType dtype = draw.logitType();
        LogitRows p = LogitRows.drawn(draw, dtype, rows, columns);
        double[] ids = new double[rows * known];
        double[] logps = new double[rows * known];
        for (int row = 0; row < rows; row++) {
            drawRow(draw, vocab, known, row * known, ids, logps);
        }
        double[] weights = new double[rows];
        Arrays.setAll(weights, k -> draw.chance(.2) ? 0 : draw.magnitude(.1, 10));
        DivergenceKind kind =
                draw.oneOf(DivergenceKind.KL_PQ, DivergenceKind.KL_QP, DivergenceKind.JS);
        return new TopkCase(
                draw,
                new DivergenceOptions(
                        kind,
                        1,
                        1,
                        draw.chance(.4) ? 1 : draw.magnitude(.01, 100),
                        kind == DivergenceKind.JS ? draw.number(.5, .1, .9, 1e-6) : .5,
                        vocab == columns ? 0 : vocab,
                        Detach.NONE,
                        draw.oneOf(Reduction.values())),
                p.kinds(),
                draw.tensor(dtype, p.values(), rows, columns),
                draw.tensor(draw.integer(), ids, rows, known),
                draw.tensor(draw.chance(.5) ? DType.F32 : DType.F64, logps, rows, known),
                draw.chance(.5) ? null : draw.tensor(draw.wideFloat(), weights, rows),
                draw.chance(.5) ? null : draw.tensor(draw.wideFloat(), draw.upstreams(1), 1),
                new DType[] {draw.wideFloat(), draw.wideFloat()});
    }

    /** Distinct columns, and what they and the rest have. */
    private static void drawRow(
            Draw draw, int vocab, int known, int from, double[] ids, double[] logps) {
        int first = draw.below(vocab);
        int step = known < 2 ? 1 : 1 + draw.below(Math.max(1, vocab / known));
        double[] shares = new double[known];
        Arrays.setAll(shares, j -> draw.chance(.1) ? 0 : draw.magnitude(1e-6, 1));
        double sum = Arrays.stream(shares).sum();
        double mass = draw.chance(.2) ? NO_REST : draw.number(.99, .5, .01, .9);
        for (int j = 0; j < known; j++) {
            ids[from + j] = (first + (long) j * step) % vocab;
            logps[from + j] =
                    sum == 0 ? Double.NEGATIVE_INFINITY : Math.log(shares[j] / sum * mass);
        }
        if (known > 0 && (long) step * known > vocab) { // it may have come round to the first
            Arrays.setAll(shares, j -> j);
            System.arraycopy(shares, 0, ids, from, known);
        }
    }

    @Override
    public String description() {
        return "p_logits %s %s, q_topk_ids %s, q_topk_logps %s, %s"
                        .formatted(p, kinds, ids, logps, options)
                + (rowWeights == null ? "" : ", row_weights")
                + (gradLoss == null ? "" : ", grad_loss");
    }

    @Override
    public List<Output> run(Backend backend) {
        boolean exact = backend == Backend.reference();
        Tensor ownP = exact ? draw.doubles(p) : p;
        Tensor values = draw.zeros(exact ? DType.F64 : outputs[0], p.size(0));
        Tensor loss = draw.zeros(exact ? DType.F64 : outputs[1], 1);
        Tensor gradP = draw.zeros(ownP.dtype(), p.shape());
        Divergence call =
                Divergence.ofTopk(ownP, ids, logps)
                        .options(options)
                        .values(values)
                        .loss(loss)
                        .gradP(gradP);
        if (rowWeights != null) {
            call.rowWeights(rowWeights);
        }
        if (gradLoss != null) {
            call.gradLoss(gradLoss);
        }
        call.run(backend);
        List<Output> all =
                List.of(
                        new Output("values", values),
                        new Output("loss", loss),
                        new Output("grad_p_logits", gradP));
        return exact ? withSlack(all) : all;
    }

    /** With whole rows' slack: what is left where terms of both signs cancel. */
    private List<Output> withSlack(List<Output> all) {
        double[] values = all.getFirst().values();
        double[] weights = new double[values.length];
        Arrays.setAll(weights, k -> rowWeights == null ? 1 : rowWeights.getDouble(k));
        double total = Arrays.stream(weights).sum();
        double divisor = options.reduction() == Reduction.SUM || total == 0 ? 1 : total;
        double upstream = gradLoss == null ? 1 : Math.abs(gradLoss.getDouble(0));
        int columns = (int) p.size(1);
        double[] ofValues = new double[values.length];
        double[] ofP = new double[(int) p.elementCount()];
        double ofLoss = 0;
        for (int k = 0; k < values.length; k++) {
            double spread = DivergenceCase.spread(p, k) / options.temperature();
            double slope = 1 + (Double.isFinite(values[k]) ? Math.abs(values[k]) : spread);
            double lost = 0x1p-126 * columns * spread;
            double share = weights[k] / divisor;
            ofValues[k] = 0x1p-18 + lost;
            ofLoss += ofValues[k] * share;
            double slack = (0x1p-22 * slope + lost) * upstream * share / options.temperature();
            Arrays.fill(ofP, k * columns, (k + 1) * columns, slack);
        }
        return List.of(
                all.get(0).withSlack(ofValues),
                all.get(1).withSlack(new double[] {ofLoss}),
                all.get(2).withSlack(ofP));
    }
}
