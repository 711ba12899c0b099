package dev.logratio.property;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;

import java.util.ArrayList;
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
        Tensor outside = draw.zeros(DType.I64, 1);
        if (kept.isThere()) {
            call.keptOffsets(kept.offsets()).keptIds(kept.ids()).outside(outside);
        }
        (rows.perRow() == 0 ? call : call.tail(outputs[5])).run(backend);
        List<Output> all = new ArrayList<>();
        all.add(new Output("logp", outputs[0]));
        all.add(new Output("lse", outputs[1]));
        all.add(new Output("lse2", outputs[2]));
        all.add(new Output("entropy", outputs[3]));
        all.add(new Output("mean_logit", outputs[4]).withSlack(rows.slackOfMeans(kept)));
        all.add(new Output("argmax", argmax));
        all.add(new Output("outside", outside));
        if (rows.perRow() > 0) {
            all.add(new Output("tail", outputs[5]));
        }
        return all;
    }

    /** Log-probs are of labels, the first output, and all else is of rows. */
    private long[] shape(int output) {
        return output == 0 ? rows.labels().shape() : rows.rowShape();
    }
}
