package dev.logratio.property;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PreferenceStep;
import dev.logratio.SequenceOptions;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.StepMetrics;
import dev.logratio.Tensor;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.LongToIntFunction;

/** Whole preference steps. */
record PreferenceStepCase(
        Draw draw,
        List<WeightedLoss> losses,
        TokenRows rows,
        Tensor mask,
        Tensor reference,
        SequenceOptions options,
        boolean wpo,
        boolean inPlace,
        Packing packing,
        DType[] outputs)
        implements PropertyCase {
    static PreferenceStepCase drawn(Draw draw) {
        List<WeightedLoss> losses = new ArrayList<>();
        do {
            double weight = draw.chance(.6) ? 1 : draw.number(0, -.5, .3, 2);
            losses.add(new WeightedLoss(RandomLoss.drawn(draw, Loss.OfStep.class), weight));
        } while (draw.chance(.25));
        List<Loss.Paired> paired = new ArrayList<>();
        for (WeightedLoss term : losses) {
            if (term.loss() instanceof Loss.Paired loss) {
                paired.add(loss);
            }
        }
        int smallest = paired.stream().mapToInt(Loss.Paired::smallestBatch).max().orElse(1);
        int drawn = draw.size(0, 1, 1, 3);
        int pairs = drawn == 0 ? 0 : Math.max(drawn, smallest);
        int tokens = draw.size(1, 2, 5);
        int vocabulary = draw.stepVocabulary();
        TokenRows rows = TokenRows.of(draw, vocabulary, 2 * pairs, tokens);
        boolean byLength = losses.stream().anyMatch(term -> term.loss().dividesByLength());
        SequenceOptions options = SequenceLogpsCase.options(draw);
        Packing packing = draw.chance(.3) ? Packing.drawn(draw, 2 * pairs, tokens) : null;
        if (packing != null) {
            packing.setCutOff(rows.labels(), rows.options().ignoreIndex());
        }
        boolean takesReference =
                paired.stream().anyMatch(loss -> !(loss instanceof Loss.ReferenceFree));
        return new PreferenceStepCase(
                draw,
                losses,
                rows,
                draw.chance(.4) ? null : SequenceLogpsCase.mask(draw, 2 * pairs, tokens),
                takesReference && draw.chance(.9) ? reference(draw, 2 * pairs, tokens) : null,
                byLength ? options.withReduction(Reduction.SUM) : options,
                paired.stream().noneMatch(Loss.Paired::ofRanks) && draw.chance(.25),
                draw.chance(.4),
                packing,
                new DType[] {draw.wideFloat(), draw.wideFloat(), draw.wideFloat()});
    }

    /** Log-probs of sequences, or of tokens. */
    static Tensor reference(Draw draw, int sequences, int tokens) {
        boolean ofTokens = draw.chance(.5);
        double[] logps = new double[ofTokens ? sequences * tokens : sequences];
        Arrays.setAll(logps, i -> -draw.magnitude(1e-2, 10) * (ofTokens ? 1 : tokens));
        long[] shape = ofTokens ? new long[] {sequences, tokens} : new long[] {sequences};
        return draw.tensor(draw.wideFloat(), logps, shape);
    }

    @Override
    public String description() {
        return "%s, %s, %s".formatted(losses, rows.description(), options)
                + (mask == null ? "" : ", mask " + mask)
                + (reference == null ? "" : ", reference " + reference)
                + (wpo ? ", wpo" : "")
                + (packing == null ? "" : ", lengths " + Arrays.toString(packing.lengths()));
    }

    @Override
    public List<Output> run(Backend backend) {
        if (backend != Backend.reference()) {
            return run(backend, draw.copy(rows.logits()));
        }
        List<Output> outputs = run(backend, draw.doubles(rows.logits()));
        List<Output> withSlack =
                Wobble.withSlack(outputs, List.of(run(backend, moved(1)), run(backend, moved(-1))));
        withSlack.replaceAll(output -> withSlack(output, rows));
        // What is too large for its type is not finite there.
        double beyond =
                beyond(outputs.getFirst(), this.outputs[0])
                        + beyond(outputs.get(3), rows.logits().dtype());
        withSlack.set(withSlack.size() - 1, withSlack.getLast().withSlack(new double[] {beyond}));
        return withSlack;
    }

    static Output withSlack(Output output, TokenRows rows) {
        double[] slack = output.slack().clone();
        switch (output.name()) {
            // Means whose terms cancel are good to float32's last places of the terms.
            case "logits_chosen", "logits_rejected" ->
                    slack[0] +=
                            Arrays.stream(rows.slackOfMeans()).max().orElse(0)
                                    * rows.options().temperature();
            // A reward is the difference of two log-probs, which float32 loops sum.
            case "rewards_chosen", "rewards_rejected", "rewards_margin" -> slack[0] += 0x1p-21;
            // Beside an infinite gradient, a column whose probability is next to nothing in
            // float64,
            // too, may have any small one.
            case "grad_logits" -> {
                int columns = (int) rows.logits().size(2);
                for (int i = 0; i < slack.length; i++) {
                    int row = i / columns * columns;
                    double[] values = Arrays.copyOfRange(output.values(), row, row + columns);
                    slack[i] += Arrays.stream(values).anyMatch(Double::isInfinite) ? 512 : 0;
                }
            }
            default -> {}
        }
        return output.withSlack(slack);
    }

    static long beyond(Output output, DType dtype) {
        double largest = dtype == DType.F64 ? Double.MAX_VALUE : .99 * LogitRows.largest(dtype);
        return Arrays.stream(output.values())
                .filter(value -> Double.isFinite(value) && Math.abs(value) > largest)
                .count();
    }

    /** Apart on the two sides of a pair. */
    private Tensor moved(int sign) {
        long pairs = rows.logits().size(0) / 2;
        return moved(draw, rows, b -> b < pairs ? sign : -sign);
    }

    /**
     * The logits with every label's moved by what float32 loops may be off in its log-prob, one way
     * or the other by its sequence.
     */
    static Tensor moved(Draw draw, TokenRows rows, LongToIntFunction sign) {
        Tensor logits = draw.doubles(rows.logits());
        long sequences = logits.size(0);
        for (long b = 0; b < sequences; b++) {
            for (long t = 0; t < logits.size(1); t++) {
                long label = rows.labels().getLong(b, t);
                if (label != rows.options().ignoreIndex()) {
                    Tensor row = logits.select(0, b).select(0, t);
                    double largest = Arrays.stream(row.toDoubles()).max().orElseThrow();
                    double at = row.getDouble(label);
                    double step = 1e-6 * (rows.options().temperature() + (largest - at));
                    if (Double.isFinite(step)) {
                        row.setDouble(at + sign.applyAsInt(b) * step, label);
                    }
                }
            }
        }
        return logits;
    }

    private List<Output> run(Backend backend, Tensor padded) {
        boolean exact = backend == Backend.reference();
        Tensor logits = given(padded, exact);
        long sequences = rows.labels().size(0);
        Tensor lossValues = draw.zeros(exact ? DType.F64 : outputs[0], sequences / 2);
        Tensor logps = draw.zeros(exact ? DType.F64 : outputs[1], sequences);
        Tensor counts = draw.zeros(exact ? DType.F64 : outputs[2], sequences);
        Tensor gradient = inPlace ? logits : draw.zeros(logits.dtype(), logits.shape());
        PreferenceStep call =
                PreferenceStep.of(losses, logits, given(rows.labels(), exact))
                        .tokenOptions(rows.options())
                        .sequenceOptions(options)
                        .wpo(wpo)
                        .losses(lossValues)
                        .logps(logps)
                        .counts(counts)
                        .gradLogits(gradient);
        if (mask != null) {
            call.mask(given(mask, exact));
        }
        if (reference == null) {
            call.referenceFree();
        } else if (reference.rank() == 1) {
            call.referenceLogps(reference);
        } else {
            call.referenceTokenLogps(given(reference, exact));
        }
        if (logits != padded) {
            call.cuSeqlens(packing.cuSeqlens());
        }
        StepMetrics metrics = call.run(backend);
        if (logits != padded) {
            gradient = packing.unpacked(gradient, padded.shape());
        }
        List<Output> all = new ArrayList<>();
        all.add(new Output("losses", lossValues));
        all.add(new Output("logps", logps));
        all.add(new Output("counts", counts));
        all.add(new Output("grad_logits", gradient));
        all.add(metric("loss", metrics.loss()));
        all.add(metric("rewards_chosen", metrics.rewardsChosen()));
        all.add(metric("rewards_rejected", metrics.rewardsRejected()));
        all.add(metric("rewards_margin", metrics.rewardsMargin()));
        all.add(metric("rewards_accuracy", metrics.rewardsAccuracy()));
        all.add(metric("entropy", metrics.entropy()));
        all.add(metric("token_accuracy", metrics.tokenAccuracy()));
        all.add(metric("logits_chosen", metrics.logitsChosen()));
        all.add(metric("logits_rejected", metrics.logitsRejected()));
        // Its squares are summed in float32, where those below the normal numbers are lost.
        all.add(metric("grad_norm", metrics.gradNorm()).withSlack(new double[] {0x1p-62}));
        all.add(metric("nonfinite", metrics.nonfinite()));
        return all;
    }

    /** A tensor of tokens as the call takes it; the reference takes what is padded. */
    private Tensor given(Tensor padded, boolean exact) {
        return packing == null || exact ? padded : packing.packed(padded);
    }

    static Output metric(String name, double value) {
        return new Output(name, DType.F32, new double[] {value});
    }
}
