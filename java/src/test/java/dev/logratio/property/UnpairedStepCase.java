package dev.logratio.property;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.SequenceOptions;
import dev.logratio.Tensor;
import dev.logratio.UnpairedStep;
import dev.logratio.UnpairedStepMetrics;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Whole steps of single examples. */
record UnpairedStepCase(
        Draw draw,
        Loss.Unpaired loss,
        TokenRows rows,
        Tensor mask,
        Tensor chosen,
        Tensor reference,
        Tensor[] mismatched,
        Tensor weights,
        Tensor gradLoss,
        SequenceOptions options,
        boolean inPlace,
        Packing packing,
        DType[] outputs)
        implements PropertyCase {
    static UnpairedStepCase drawn(Draw draw) {
        Loss.Unpaired loss = RandomLoss.drawn(draw, Loss.Unpaired.class);
        int examples = draw.size(0, 1, 2, 3, 7);
        int tokens = draw.size(1, 2, 5);
        Tensor[] mismatched = null;
        if (loss instanceof Kto && draw.chance(.6)) {
            int others = draw.size(0, 1, 2, 33);
            double[][] logps = PairLossCase.logps(draw, others, false);
            mismatched =
                    new Tensor[] {
                        draw.tensor(draw.wideFloat(), logps[0], others),
                        draw.tensor(draw.wideFloat(), logps[2], others)
                    };
        }
        DType[] outputs = new DType[5];
        Arrays.setAll(outputs, _ -> draw.wideFloat());
        TokenRows rows = TokenRows.of(draw, draw.stepVocabulary(), examples, tokens);
        Packing packing = draw.chance(.3) ? Packing.drawn(draw, examples, tokens) : null;
        if (packing != null) {
            packing.setCutOff(rows.labels(), rows.options().ignoreIndex());
        }
        return new UnpairedStepCase(
                draw,
                loss,
                rows,
                draw.chance(.4) ? null : SequenceLogpsCase.mask(draw, examples, tokens),
                draw.tensor(draw.oneOf(DType.BOOL, DType.U8), flags(draw, examples), examples),
                PreferenceStepCase.reference(draw, examples, tokens),
                mismatched,
                draw.chance(.5)
                        ? null
                        : draw.tensor(draw.wideFloat(), weights(draw, examples), examples),
                draw.chance(.5) ? null : draw.tensor(draw.wideFloat(), draw.upstreams(1), 1),
                SequenceOptions.DEFAULT.withReduction(
                        draw.oneOf(SequenceOptions.Reduction.values())),
                draw.chance(.4),
                packing,
                outputs);
    }

    private static double[] flags(Draw draw, int examples) {
        double[] flags = new double[examples];
        Arrays.setAll(flags, _ -> draw.chance(.5) ? 1 : 0);
        return flags;
    }

    private static double[] weights(Draw draw, int examples) {
        double[] weights = new double[examples];
        Arrays.setAll(weights, _ -> draw.chance(.2) ? 0 : draw.magnitude(1e-3, 10));
        return weights;
    }

    @Override
    public String description() {
        return "%s, %s, %s, chosen %s, reference %s"
                        .formatted(
                                loss,
                                rows.description(),
                                options.reduction(),
                                Arrays.toString(chosen.toLongs()),
                                reference)
                + (mask == null ? "" : ", mask " + mask)
                + (mismatched == null ? "" : ", kl of " + mismatched[0])
                + (weights == null ? "" : ", weights")
                + (gradLoss == null ? "" : ", grad_loss " + gradLoss.getDouble(0))
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
        withSlack.replaceAll(output -> PreferenceStepCase.withSlack(output, rows));
        // What is too large for its type is not finite there.
        double beyond =
                PreferenceStepCase.beyond(outputs.getFirst(), this.outputs[0])
                        + PreferenceStepCase.beyond(outputs.get(5), rows.logits().dtype());
        withSlack.set(withSlack.size() - 1, withSlack.getLast().withSlack(new double[] {beyond}));
        return withSlack;
    }

    private Tensor moved(int sign) {
        return PreferenceStepCase.moved(draw, rows, _ -> sign);
    }

    private List<Output> run(Backend backend, Tensor padded) {
        boolean exact = backend == Backend.reference();
        Tensor logits = given(padded, exact);
        long examples = rows.labels().size(0);
        Tensor[] out = new Tensor[5];
        Arrays.setAll(out, k -> draw.zeros(exact ? DType.F64 : outputs[k], k == 4 ? 1 : examples));
        Tensor gradient = inPlace ? logits : draw.zeros(logits.dtype(), logits.shape());
        UnpairedStep call =
                UnpairedStep.of(loss, logits, given(rows.labels(), exact), chosen)
                        .tokenOptions(rows.options())
                        .sequenceOptions(options)
                        .mask(given(mask, exact))
                        .weights(weights)
                        .gradLoss(gradLoss)
                        .losses(out[0])
                        .logps(out[1])
                        .counts(out[2])
                        .rewards(out[3])
                        .kl(out[4])
                        .gradLogits(gradient);
        if (reference.rank() == 1) {
            call.referenceLogps(reference);
        } else {
            call.referenceTokenLogps(given(reference, exact));
        }
        if (logits != padded) {
            call.cuSeqlens(packing.cuSeqlens());
        }
        if (mismatched != null) {
            call.klLogps(mismatched[0], mismatched[1]);
        }
        UnpairedStepMetrics metrics = call.run(backend);
        if (logits != padded) {
            gradient = packing.unpacked(gradient, padded.shape());
        }
        List<Output> all = new ArrayList<>();
        all.add(new Output("losses", out[0]));
        all.add(new Output("logps", out[1]));
        all.add(new Output("counts", out[2]));
        all.add(new Output("rewards", out[3]));
        all.add(new Output("kl", out[4]));
        all.add(new Output("grad_logits", gradient));
        all.add(metric("loss", metrics.loss()));
        all.add(metric("rewards_chosen", metrics.rewardsChosen()));
        all.add(metric("rewards_rejected", metrics.rewardsRejected()));
        all.add(metric("rewards_margin", metrics.rewardsMargin()));
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
        return packing == null || exact || padded == null ? padded : packing.packed(padded);
    }

    private static Output metric(String name, double value) {
        return PreferenceStepCase.metric(name, value);
    }
}
