package dev.logratio.property;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.ScoringRule;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.ScoringRuleOptions.Normalisation;
import dev.logratio.ScoringRuleOptions.Rule;
import dev.logratio.Tensor;

import java.util.Arrays;
import java.util.List;

/** Scoring rules. */
record ScoringRuleCase(
        Draw draw,
        ScoringRuleOptions options,
        LogitRows rows,
        Tensor logits,
        Tensor labels,
        Tensor gradLoss,
        boolean inPlace,
        DType[] outputs)
        implements PropertyCase {
    static ScoringRuleCase drawn(Draw draw) {
        int columns = draw.vocabulary();
        int vocab = draw.chance(.7) ? 0 : 1 + draw.below(columns);
        int counted = vocab == 0 ? columns : vocab;
        int rows = Math.min(columns > 5000 ? 2 : 7, draw.size(0, 1, 1, 1, 2, 7));
        DType dtype = draw.logitType();
        long ignoreIndex = draw.size(-100, -1, 0);
        LogitRows drawn = LogitRows.drawn(draw, dtype, rows, columns);
        double[] read = new double[rows * counted];
        for (int row = 0; row < rows; row++) {
            System.arraycopy(drawn.values(), row * columns, read, row * counted, counted);
        }
        Rule rule = draw.oneOf(Rule.values());
        boolean hasOrder = rule == Rule.POWER || rule == Rule.PSEUDO_SPHERICAL;
        ScoringRuleOptions options =
                new ScoringRuleOptions(
                        rule,
                        hasOrder ? 1 + draw.magnitude(1e-2, 5) : 2,
                        hasOrder ? draw.oneOf(Normalisation.values()) : Normalisation.SELTEN,
                        draw.chance(.4) ? 0 : draw.magnitude(1e-3, .95),
                        draw.chance(.4),
                        vocab,
                        ignoreIndex);
        return new ScoringRuleCase(
                draw,
                options,
                drawn,
                draw.tensor(dtype, drawn.values(), rows, columns),
                draw.tensor(
                        draw.integer(), LogitRows.labels(draw, read, counted, ignoreIndex), rows),
                draw.chance(.5) ? null : draw.tensor(draw.wideFloat(), draw.upstreams(rows), rows),
                draw.chance(.3),
                new DType[] {draw.wideFloat(), draw.wideFloat()});
    }

    @Override
    public String description() {
        return "logits %s %s, labels %s, %s"
                        .formatted(logits, rows.kinds(), Arrays.toString(labels.toLongs()), options)
                + (gradLoss == null ? "" : ", grad_loss");
    }

    @Override
    public List<Output> run(Backend backend) {
        if (backend != Backend.reference()) {
            return run(backend, draw.copy(logits));
        }
        List<Output> outputs = run(backend, draw.doubles(logits));
        outputs = options.rule() == Rule.LOG ? outputs : withSlack(outputs);
        // A probability beside the threshold of the masked log, on one side or the other of it.
        return options.maskedLog()
                ? Wobble.withSlack(
                        outputs,
                        Wobble.moved(draw, logits, 1).stream()
                                .map(moved -> run(backend, moved))
                                .toList())
                : outputs;
    }

    private List<Output> run(Backend backend, Tensor own) {
        boolean exact = backend == Backend.reference();
        Tensor values = draw.zeros(exact ? DType.F64 : outputs[0], labels.shape());
        Tensor loss = draw.zeros(exact ? DType.F64 : outputs[1], 1);
        Tensor gradient = inPlace ? own : draw.zeros(own.dtype(), logits.shape());
        ScoringRule call =
                ScoringRule.of(own, labels)
                        .options(options)
                        .values(values)
                        .loss(loss)
                        .gradLogits(gradient);
        if (gradLoss != null) {
            call.gradLoss(gradLoss);
        }
        call.run(backend);
        return List.of(
                new Output("values", values),
                new Output("loss", loss),
                new Output("grad_logits", gradient));
    }

    /**
     * Sums of powers of probabilities near 1 are good to float32's last bit of 1: what cancels in
     * them may be nothing else. Not so where it is the label that is certain, and the log rule has
     * no such sum.
     */
    private List<Output> withSlack(List<Output> outputs) {
        Tensor minusLogp = draw.zeros(DType.F64, labels.shape());
        ScoringRule.of(draw.doubles(logits), labels)
                .options(
                        ScoringRuleOptions.DEFAULT
                                .withVocab(options.vocab())
                                .withIgnoreIndex(options.ignoreIndex()))
                .values(minusLogp)
                .run(Backend.reference());
        double[] rounding =
                Arrays.stream(minusLogp.toDoubles())
                        .map(x -> x < 0x1p-6 ? 0 : 0x1p-22 * options.alpha() * options.alpha())
                        .toArray();
        double worst = Arrays.stream(rounding).max().orElse(0);
        return outputs.stream()
                .map(
                        output -> {
                            double[] slack = new double[output.values().length];
                            switch (output.name()) {
                                case "loss" -> Arrays.fill(slack, worst);
                                case "values" ->
                                        System.arraycopy(rounding, 0, slack, 0, slack.length);
                                default ->
                                        Arrays.setAll(
                                                slack,
                                                i -> rounding[row(i)] * Math.abs(upstream(row(i))));
                            }
                            return output.withSlack(slack);
                        })
                .toList();
    }

    private int row(int element) {
        return (int) (element / logits.size(1));
    }

    private double upstream(int row) {
        return gradLoss == null ? 1 : gradLoss.getDouble(row);
    }
}
