package dev.logratio.property;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Divergence;
import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.DivergenceOptions.Detach;
import dev.logratio.Tensor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Divergences of rows, of logits, of logits and weights, or of logits and several models'. */
record DivergenceCase(
        Draw draw,
        DivergenceOptions options,
        List<String> pKinds,
        List<String> qKinds,
        Tensor p,
        Tensor q,
        boolean weighted,
        Tensor modelWeights,
        Tensor[] rows,
        Tensor rowWeights,
        Tensor gradLoss,
        DType[] outputs)
        implements PropertyCase {
    static DivergenceCase drawn(Draw draw) {
        int columns = draw.vocabulary();
        int most = columns > 5000 ? 1 : 7;
        int pRows = Math.min(most, draw.size(0, 1, 1, 1, 2, 7));
        boolean chosenRows = draw.chance(.3);
        int qRows = chosenRows ? Math.min(most, draw.size(1, 2, 7)) : pRows;
        int pairs = chosenRows ? draw.below(Math.min(pRows, qRows) + 1) : pRows;
        DType dtype = draw.logitType();
        LogitRows p = LogitRows.drawn(draw, dtype, pRows, columns);
        DivergenceOptions options = options(draw, columns);
        int vocab = options.vocab() == 0 ? columns : (int) options.vocab();
        boolean weighted = draw.chance(.2);
        int models = !weighted && draw.chance(.2) ? draw.size(1, 2, 3) : 0;
        LogitRows q =
                weighted
                        ? weights(draw, qRows, columns, vocab)
                        : LogitRows.drawn(draw, dtype, Math.max(models, 1) * qRows, columns);
        for (int row = 0; !weighted && row < Math.min(pRows, qRows); row++) {
            if (draw.chance(.1)) { // the same distribution, perhaps somewhere else
                double apart = draw.chance(.5) ? 0 : draw.number(1000, 1e4, 1e9, -1e9);
                for (int k = row * columns; k < (row + 1) * columns; k++) {
                    q.values()[k] = p.values()[k] + apart;
                }
                q.kinds().set(row, "p + " + apart);
            }
        }
        double[] rowWeights = new double[pairs];
        Arrays.setAll(rowWeights, k -> draw.chance(.2) ? 0 : draw.magnitude(.1, 10));
        return new DivergenceCase(
                draw,
                options,
                p.kinds(),
                q.kinds(),
                draw.tensor(dtype, p.values(), pRows, columns),
                models > 0
                        ? draw.tensor(dtype, q.values(), models, qRows, columns)
                        : draw.tensor(weighted ? DType.F32 : dtype, q.values(), qRows, columns),
                weighted,
                models > 0 ? modelWeights(draw, models) : null,
                chosenRows
                        ? new Tensor[] {someOf(draw, pRows, pairs), someOf(draw, qRows, pairs)}
                        : null,
                draw.chance(.5) ? null : draw.tensor(draw.wideFloat(), rowWeights, pairs),
                draw.chance(.5) ? null : draw.tensor(draw.wideFloat(), draw.upstreams(1), 1),
                new DType[] {draw.wideFloat(), draw.wideFloat()});
    }

    private static DivergenceOptions options(Draw draw, int columns) {
        DivergenceKind kind = draw.oneOf(DivergenceKind.values());
        boolean sce = kind == DivergenceKind.SCE && draw.chance(.5);
        return new DivergenceOptions(
                kind,
                sce ? draw.number(0, 1, .5, 3) : 1,
                sce ? draw.number(0, 1, .5, 3) : 1,
                draw.chance(.4) ? 1 : draw.magnitude(.01, 100),
                kind == DivergenceKind.JS && draw.chance(.6)
                        ? draw.number(.1, .9, 1e-6, 1 - 1e-9, .001, .5)
                        : .5,
                draw.chance(.7) ? 0 : 1 + draw.below(columns),
                draw.oneOf(Detach.values()),
                draw.oneOf(DivergenceOptions.Reduction.values()));
    }

    /** Some of them 0, but not all. */
    private static Tensor modelWeights(Draw draw, int models) {
        double[] weights = new double[models];
        int sure = draw.below(models);
        Arrays.setAll(weights, m -> m != sure && draw.chance(.2) ? 0 : draw.magnitude(.1, 10));
        return draw.tensor(draw.wideFloat(), weights, models);
    }

    /** Weights of any scale, some of them 0, but never a whole row. */
    private static LogitRows weights(Draw draw, int rows, int columns, int vocab) {
        double[] weights = new double[rows * columns];
        List<String> kinds = new ArrayList<>();
        for (int row = 0; row < rows; row++) {
            double scale = draw.number(1, 1, 1e-30, 1e30);
            kinds.add("weights to " + scale);
            int sure = draw.below(vocab);
            for (int k = 0; k < columns; k++) {
                weights[row * columns + k] =
                        k != sure && draw.chance(.2) ? 0 : scale * draw.magnitude(1e-4, 1);
            }
        }
        return new LogitRows(weights, kinds);
    }

    /** Some row numbers, none twice, in any order. */
    private static Tensor someOf(Draw draw, int rows, int count) {
        double[] numbers = new double[rows];
        Arrays.setAll(numbers, row -> row);
        for (int k = 0; k < count; k++) {
            int other = k + draw.below(rows - k);
            double number = numbers[k];
            numbers[k] = numbers[other];
            numbers[other] = number;
        }
        return draw.tensor(draw.integer(), Arrays.copyOf(numbers, count), count);
    }

    @Override
    public String description() {
        String qName = weighted ? "q_weights" : "q_logits";
        return "p_logits %s %s, %s %s %s, %s".formatted(p, pKinds, qName, q, qKinds, options)
                + (rows == null ? "" : ", rows " + rows[0])
                + (modelWeights == null ? "" : ", q_model_weights")
                + (rowWeights == null ? "" : ", row_weights")
                + (gradLoss == null ? "" : ", grad_loss");
    }

    @Override
    public List<Output> run(Backend backend) {
        if (backend != Backend.reference()) {
            return run(backend, p);
        }
        List<Output> outputs = withSlack(run(backend, draw.doubles(p)));
        // Rounding may decide the sign of p - q, or of a sum of them; of equal rows it is 0.
        boolean signs =
                options.divergence() == DivergenceKind.TVD
                        || options.divergence() == DivergenceKind.WASSERSTEIN1;
        boolean equal = Arrays.stream(outputs.getFirst().values()).anyMatch(value -> value == 0);
        return !signs || equal
                ? outputs
                : Wobble.withSlack(
                        outputs,
                        Wobble.moved(draw, p, options.temperature()).stream()
                                .map(moved -> run(backend, moved))
                                .toList());
    }

    private List<Output> run(Backend backend, Tensor ownP) {
        boolean exact = backend == Backend.reference();
        DType dtype = ownP.dtype();
        Tensor ownQ = exact && !weighted ? draw.doubles(q) : q;
        long pairs = rows == null ? p.size(0) : rows[0].size(0);
        Tensor values = draw.zeros(exact ? DType.F64 : outputs[0], pairs);
        Tensor loss = draw.zeros(exact ? DType.F64 : outputs[1], 1);
        Divergence call =
                (weighted
                                ? Divergence.ofWeights(ownP, ownQ)
                                : modelWeights == null
                                        ? Divergence.of(ownP, ownQ)
                                        : Divergence.ofModels(ownP, ownQ, modelWeights))
                        .options(options)
                        .values(values)
                        .loss(loss);
        Tensor gradP = draw.zeros(dtype, p.shape());
        Tensor gradQ = draw.zeros(dtype, q.shape());
        if (options.detach() != Detach.P) {
            call.gradP(gradP);
        }
        if (options.detach() != Detach.Q && !weighted) {
            call.gradQ(gradQ);
        }
        if (rows != null) {
            call.rows(rows[0], rows[1]);
        }
        if (rowWeights != null) {
            call.rowWeights(rowWeights);
        }
        if (gradLoss != null) {
            call.gradLoss(gradLoss);
        }
        call.run(backend);
        return List.of(
                new Output("values", values),
                new Output("loss", loss),
                new Output("grad_p_logits", gradP),
                new Output("grad_q_logits", gradQ));
    }

    /**
     * Little is left of rows that are nearly equal or certain, where terms of both signs cancel:
     * then a value is as good as the log of a sum of float32, and a gradient as good as a
     * probability near 1 times the slope that it is multiplied with.
     */
    private List<Output> withSlack(List<Output> all) {
        double[] values = all.getFirst().values();
        double[] weights = new double[values.length];
        Arrays.setAll(weights, k -> rowWeights == null ? 1 : rowWeights.getDouble(k));
        double total = Arrays.stream(weights).sum();
        double divisor =
                options.reduction() == DivergenceOptions.Reduction.SUM || total == 0 ? 1 : total;
        double upstream = gradLoss == null ? 1 : Math.abs(gradLoss.getDouble(0));
        double[] ofP = new double[(int) p.elementCount()];
        double[] ofQ = new double[(int) q.elementCount()];
        int columns = (int) p.size(1);
        double[] lost = new double[values.length];
        for (int k = 0; k < values.length; k++) {
            int rowP = rows == null ? k : (int) rows[0].getLong(k);
            int rowQ = rows == null ? k : (int) rows[1].getLong(k);
            double ofModels = 0;
            for (int m = 0; m < models(); m++) {
                Tensor rowsOfQ = modelWeights == null ? q : q.select(0, m);
                ofModels = Math.max(ofModels, weighted ? 0 : spread(rowsOfQ, rowQ));
            }
            double spread = (spread(p, rowP) + ofModels) / options.temperature();
            double slope = 1 + (Double.isFinite(values[k]) ? Math.abs(values[k]) : spread);
            // A probability below float32's normal numbers is 0, whatever it is multiplied with.
            lost[k] = 0x1p-126 * columns * spread;
            double slack =
                    (0x1p-22 * slope + lost[k])
                            * upstream
                            * weights[k]
                            / divisor
                            / options.temperature();
            Arrays.fill(ofP, rowP * columns, (rowP + 1) * columns, slack);
            int rowsOfQ = ofQ.length / columns / models();
            for (int m = 0; m < models(); m++) {
                int row = m * rowsOfQ + rowQ;
                Arrays.fill(ofQ, row * columns, (row + 1) * columns, slack);
            }
        }
        double[] ofValues = new double[values.length];
        double ofLoss = 0;
        for (int k = 0; k < values.length; k++) {
            ofValues[k] = 0x1p-18 + lost[k];
            ofLoss += ofValues[k] * weights[k] / divisor;
        }
        return List.of(
                all.get(0).withSlack(ofValues),
                all.get(1).withSlack(new double[] {ofLoss}),
                all.get(2).withSlack(ofP),
                all.get(3).withSlack(ofQ));
    }

    private int models() {
        return modelWeights == null ? 1 : (int) modelWeights.size(0);
    }

    /** The largest difference of two finite logits of a row. */
    static double spread(Tensor logits, int row) {
        double[] finite =
                Arrays.stream(logits.select(0, row).toDoubles())
                        .filter(Double::isFinite)
                        .sorted()
                        .toArray();
        return finite.length == 0 ? 0 : finite[finite.length - 1] - finite[0];
    }
}
