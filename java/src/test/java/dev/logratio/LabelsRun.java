package dev.logratio;

import java.lang.foreign.Arena;
import java.util.Arrays;

/** Every output of a call with one label or several per row, F64, and its gradient. */
record LabelsRun(
        double[] logp,
        double[] tail,
        double[] lse,
        double[] entropy,
        double[] lse2,
        double[] mean,
        double[] argmax,
        double[] gradient) {
    /** What comes from upstream: of each label, and of each row; null is none. */
    record Upstream(double[] logp, double[] entropy, double[] lse, double[] tail) {}

    /** Runs both ways, the gradient in place of the logits. */
    static LabelsRun run(
            Backend backend, Tensor logits, Tensor labels, TokenOptions options, Upstream up) {
        Arena arena = Arena.ofAuto();
        long[] shape = Arrays.copyOf(logits.shape(), logits.rank() - 1);
        boolean several = labels.rank() == logits.rank();
        Tensor logp = Tensor.zeros(arena, DType.F64, labels.shape()).fill(Double.NaN);
        Tensor[] out = new Tensor[6];
        Arrays.setAll(out, i -> Tensor.zeros(arena, DType.F64, shape));
        Tensor argmax = Tensor.zeros(arena, DType.I64, shape);
        TokenLogprobs call =
                TokenLogprobs.of(logits, labels)
                        .tokenOptions(options)
                        .logp(logp)
                        .lse(out[0])
                        .entropy(out[1])
                        .lse2(out[2])
                        .meanLogit(out[3])
                        .argmax(argmax);
        (several ? call.tail(out[4]) : call).run(backend);
        Tensor gradient = Tensor.zeros(arena, logits.dtype(), logits.shape());
        gradient.copyFrom(logits); // in place
        TokenLogprobsBackward back =
                TokenLogprobsBackward.of(gradient, labels, out[0]).tokenOptions(options).inPlace();
        if (up.logp != null) {
            back.gradLogp(Tensor.of(arena, DType.F64, up.logp, labels.shape()));
        }
        if (up.entropy != null) {
            back.entropy(out[1]).gradEntropy(Tensor.of(arena, DType.F64, up.entropy, shape));
        }
        if (up.lse != null) {
            back.gradLse(Tensor.of(arena, DType.F64, up.lse, shape));
        }
        if (up.tail != null) {
            back.tail(out[4]).gradTail(Tensor.of(arena, DType.F64, up.tail, shape));
        }
        back.run(backend);
        return new LabelsRun(
                logp.toDoubles(),
                out[4].toDoubles(),
                out[0].toDoubles(),
                out[1].toDoubles(),
                out[2].toDoubles(),
                out[3].toDoubles(),
                argmax.toDoubles(),
                gradient.toDoubles());
    }

    double[][] figures() {
        return new double[][] {lse, entropy, lse2, mean, argmax};
    }
}
