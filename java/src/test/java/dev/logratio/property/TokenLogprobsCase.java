package dev.logratio.property;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The forward of per-token log-probs. */
record TokenLogprobsCase(Draw draw, TokenRows rows, KeptSets kept) implements PropertyCase {
    static TokenLogprobsCase drawn(Draw draw) {
        TokenRows rows = TokenRows.drawn(draw);
        return new TokenLogprobsCase(draw, rows, KeptSets.drawn(draw, rows));
    }

    @Override
    public String description() {
        return rows.description() + kept.description();
    }

    @Override
    public List<Output> run(Backend backend) {
        boolean exact = backend == Backend.reference();
        Tensor[] outputs = new Tensor[6];
        for (int i = 0; i < outputs.length; i++) {
            DType drawn = draw.wideFloat();
            outputs[i] = draw.zeros(exact ? DType.F64 : drawn, shape(i));
        }
        Tensor argmax = draw.zeros(draw.integer(), rows.rowShape());
        TokenLogprobs call =
                TokenLogprobs.of(exact ? draw.doubles(rows.logits()) : rows.logits(), rows.labels())
                        .tokenOptions(rows.options())
                        .logp(outputs[0])
                        .lse(outputs[1])
                        .lse2(outputs[2])
                        .entropy(outputs[3])
                        .meanLogit(outputs[4])
                        .argmax(argmax);
        if (rows.perRow() > 0) {
            call.tail(outputs[5]);
        }
        Tensor outside = draw.zeros(DType.I64, 1);
        if (kept.isThere()) {
            call.keptOffsets(kept.offsets()).keptIds(kept.ids()).outside(outside);
        }
        call.run(backend);
        List<Output> all = new ArrayList<>();
        Output logp = new Output("logp", outputs[0]);
        all.add(exact ? logp.withSlack(slack(logp.values())) : logp);
        all.add(new Output("lse", outputs[1]));
        all.add(new Output("lse2", outputs[2]));
        all.add(new Output("entropy", outputs[3]));
        all.add(new Output("mean_logit", outputs[4]).withSlack(rows.slackOfMeans(kept)));
        all.add(new Output("argmax", argmax));
        if (rows.perRow() > 0) {
            all.add(new Output("tail", outputs[5]));
        }
        all.add(new Output("outside", outside));
        return all;
    }

    /**
     * How far log-probs may be off beside a token that has most of the probability and is not
     * certain. Its 1 is in a float32 sum, whose last place is rounded with each of the others that
     * one lane adds to it, and values that are all alike are all rounded the same way.
     */
    private double[] slack(double[] logps) {
        final double likely = -.7;
        final double certain = -0x1p-6;
        double ofSum = 0x1p-26 * Math.min(rows.taking(), 2048) / 8;
        return Arrays.stream(logps)
                .map(logp -> logp > likely && logp < certain ? ofSum : 0)
                .toArray();
    }

    /** Log-probs are of labels, the first output, and all else is of rows. */
    private long[] shape(int output) {
        return output == 0 ? rows.labels().shape() : rows.rowShape();
    }
}
