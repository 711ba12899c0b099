package dev.logratio.property;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.SequenceLogps;
import dev.logratio.SequenceOptions;
import dev.logratio.Tensor;

import java.util.Arrays;
import java.util.List;

/** Token log-probs to sequences, and the gradient back. */
record SequenceLogpsCase(
        Draw draw,
        Tensor tokenLogps,
        Tensor mask,
        SequenceOptions options,
        Tensor gradLogps,
        Packing packing,
        DType[] outputs)
        implements PropertyCase {
    static SequenceLogpsCase drawn(Draw draw) {
        SequenceOptions options = options(draw);
        int sequences = draw.size(0, 1, 3, 7) * (options.tailWeight() < 1 ? 2 : 1);
        int tokens = draw.size(1, 2, 5, 33, 300);
        Tensor mask = mask(draw, sequences, tokens);
        Packing packing = draw.chance(.3) ? Packing.drawn(draw, sequences, tokens) : null;
        if (packing != null) {
            packing.setCutOff(mask, 0);
        }
        double[] weights = mask.toDoubles();
        double[] logps = new double[sequences * tokens];
        boolean masked = draw.chance(.05);
        Arrays.setAll(
                logps,
                i -> {
                    if (weights[i] == 0 && draw.chance(.2)) {
                        return Double.NaN; // what does not count is not read
                    }
                    return masked && draw.chance(.1)
                            ? Double.NEGATIVE_INFINITY
                            : -draw.magnitude(1e-6, 100);
                });
        return new SequenceLogpsCase(
                draw,
                draw.tensor(
                        draw.oneOf(DType.F64, DType.F32, DType.F32, DType.BF16, DType.F16),
                        logps,
                        sequences,
                        tokens),
                mask,
                options,
                draw.tensor(draw.wideFloat(), draw.upstreams(sequences), sequences),
                packing,
                new DType[] {
                    draw.wideFloat(),
                    draw.wideFloat(),
                    draw.oneOf(DType.F64, DType.F32, DType.F32, DType.BF16, DType.F16)
                });
    }

    static SequenceOptions options(Draw draw) {
        SequenceOptions.Reduction reduction = draw.oneOf(SequenceOptions.Reduction.values());
        if (draw.chance(.5)) {
            return SequenceOptions.DEFAULT.withReduction(reduction);
        }
        return new SequenceOptions(
                reduction,
                draw.chance(.4) ? 0 : draw.between(0, .99),
                draw.oneOf(SequenceOptions.Align.values()),
                draw.chance(.5) ? 1 : draw.between(.05, 1));
    }

    /**
     * A mask of any type: answers after prompts, before padding, or holes anywhere; some sequences
     * without a token.
     */
    static Tensor mask(Draw draw, int sequences, int tokens) {
        DType dtype = draw.oneOf(DType.BOOL, DType.U8, DType.I64, DType.I32, DType.F32);
        double[] values = new double[sequences * tokens];
        for (int b = 0; b < sequences; b++) {
            boolean holes = draw.chance(.3);
            int from = draw.chance(.5) ? 0 : draw.below(tokens);
            int to = draw.chance(.1) ? from : from + 1 + draw.below(tokens - from);
            for (int t = from; t < to; t++) {
                values[b * tokens + t] = holes && draw.chance(.4) ? 0 : weight(draw, dtype);
            }
        }
        return draw.tensor(dtype, values, sequences, tokens);
    }

    private static double weight(Draw draw, DType dtype) {
        if (dtype == DType.BOOL || draw.chance(.7)) {
            return 1;
        }
        return switch (dtype) {
            case F32 -> draw.magnitude(1e-3, 10);
            case U8 -> 1 + draw.below(255);
            default -> draw.oneOf(-1.0, 2.0, -0x1p31, 0x1p31 - 1);
        };
    }

    @Override
    public String description() {
        return "token_logps "
                + tokenLogps
                + ", mask "
                + mask
                + ", "
                + options
                + (packing == null ? "" : ", lengths " + Arrays.toString(packing.lengths()));
    }

    @Override
    public List<Output> run(Backend backend) {
        boolean exact = backend == Backend.reference();
        Tensor logps = draw.zeros(exact ? DType.F64 : outputs[0], mask.size(0));
        Tensor counts = draw.zeros(exact ? DType.F64 : outputs[1], mask.size(0));
        // The reference takes what is padded.
        boolean isPacked = packing != null && !exact;
        Tensor givenLogps = isPacked ? packing.packed(tokenLogps) : tokenLogps;
        Tensor givenMask = isPacked ? packing.packed(mask) : mask;
        Tensor gradTokenLogps = draw.zeros(exact ? DType.F64 : outputs[2], givenMask.shape());
        SequenceLogps.of(givenLogps, givenMask)
                .cuSeqlens(isPacked ? packing.cuSeqlens() : null)
                .sequenceOptions(options)
                .gradLogps(gradLogps)
                .logps(logps)
                .counts(counts)
                .gradTokenLogps(gradTokenLogps)
                .run(backend);
        return List.of(
                new Output("logps", logps),
                new Output("counts", counts),
                new Output(
                        "grad_token_logps",
                        isPacked
                                ? packing.unpacked(gradTokenLogps, mask.shape())
                                : gradTokenLogps));
    }
}
