package dev.logratio.property;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PairLoss;
import dev.logratio.Tensor;
import dev.logratio.loss.Loss;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Losses of pairs of sequences. */
record PairLossCase(
        Draw draw,
        Loss.Paired loss,
        Tensor[] logps,
        Tensor[] counts,
        Tensor gradLoss,
        DrawnParameters parameters,
        DType output)
        implements PropertyCase {
    static PairLossCase drawn(Draw draw) {
        Loss.Paired loss = RandomLoss.drawn(draw, Loss.Paired.class);
        int drawn = draw.size(0, 1, 2, 3, 3, 8, 17);
        int pairs = drawn == 0 ? 0 : Math.max(drawn, loss.smallestBatch());
        boolean referenceFree = loss instanceof Loss.ReferenceFree || draw.chance(.1);
        double[][] values = logps(draw, pairs, loss instanceof Loss.ReferenceFree);
        Tensor[] logps = new Tensor[referenceFree ? 2 : 4];
        // Equal log-probs are to stay equal: of their rounding alone a loss would make nothing but
        // noise.
        DType common =
                Arrays.equals(values[0], values[2]) || draw.chance(.5) ? draw.wideFloat() : null;
        Arrays.setAll(
                logps,
                k ->
                        draw.tensor(
                                common != null
                                        ? common
                                        : draw.oneOf(DType.F64, DType.F32, DType.F32, DType.BF16),
                                values[k],
                                pairs));
        Tensor[] counts =
                draw.chance(.2) ? null : new Tensor[] {counts(draw, pairs), counts(draw, pairs)};
        Tensor gradLoss =
                draw.chance(.5)
                        ? null
                        : draw.tensor(
                                draw.wideFloat(),
                                draw.upstreams(loss.lossesPerPair() * pairs),
                                loss.lossesPerPair() * pairs);
        DrawnParameters parameters =
                draw.chance(.5)
                        ? DrawnParameters.none(draw)
                        : DrawnParameters.drawn(draw, loss, pairs);
        return new PairLossCase(draw, loss, logps, counts, gradLoss, parameters, draw.wideFloat());
    }

    private static Tensor counts(Draw draw, int pairs) {
        double[] counts = new double[pairs];
        Arrays.setAll(counts, i -> draw.chance(.1) ? 0 : 1 + draw.below(40));
        return draw.tensor(draw.oneOf(DType.I64, DType.I32, DType.F32), counts, pairs);
    }

    /**
     * Policy chosen and rejected, reference chosen and rejected; a policy near its reference, far
     * from it, or the same.
     */
    static double[][] logps(Draw draw, int pairs, boolean nearZero) {
        double scale = draw.number(1.0, 10.0, 100.0, 1000.0);
        double apart = draw.number(0.0, 1e-3, 1.0, 1.0, 10.0, 100.0);
        boolean bad = draw.chance(.1);
        double[][] logps = new double[4][pairs];
        for (int side = 0; side < 2; side++) {
            for (int i = 0; i < pairs; i++) {
                double policy = -draw.magnitude(1e-3, 1) * scale;
                if (nearZero && draw.chance(.15)) {
                    // Rounding may leave a log-prob just above 0.
                    policy =
                            draw.chance(.4)
                                    ? 0
                                    : draw.magnitude(1e-30, 1e-6) * (draw.chance(.2) ? 1 : -1);
                }
                logps[side + 2][i] =
                        apart == 0 ? policy : Math.min(0, policy + apart * draw.gaussian());
                logps[side][i] =
                        bad && draw.chance(.2)
                                ? draw.number(Double.NaN, Double.NEGATIVE_INFINITY)
                                : policy;
            }
        }
        return logps;
    }

    @Override
    public String description() {
        return "%s, policy_chosen %s".formatted(loss, logps[0])
                + (logps.length == 2 ? ", reference-free" : "")
                + (counts == null ? "" : ", counts %s, %s".formatted(counts[0], counts[1]))
                + (gradLoss == null ? "" : ", grad_loss")
                + ", parameters "
                + parameters;
    }

    @Override
    public List<Output> run(Backend backend) {
        DType dtype = backend == Backend.reference() ? DType.F64 : output;
        List<String> names = new ArrayList<>();
        List<Tensor> tensors = new ArrayList<>();
        long pairs = logps[0].size(0);
        PairLoss call =
                PairLoss.of(loss, logps[0], logps[1])
                        .losses(output("loss", dtype, loss.lossesPerPair() * pairs, names, tensors))
                        .rewards(
                                output("chosen_rewards", dtype, pairs, names, tensors),
                                output("rejected_rewards", dtype, pairs, names, tensors))
                        .gradPolicy(
                                output("grad_policy_chosen", dtype, pairs, names, tensors),
                                output("grad_policy_rejected", dtype, pairs, names, tensors));
        if (logps.length == 4) {
            call.reference(logps[2], logps[3])
                    .gradReference(
                            output("grad_reference_chosen", dtype, pairs, names, tensors),
                            output("grad_reference_rejected", dtype, pairs, names, tensors));
        } else {
            call.referenceFree();
        }
        if (counts != null) {
            call.counts(counts[0], counts[1]);
        }
        if (gradLoss != null) {
            call.gradLoss(gradLoss);
        }
        List<String> gradients = loss.gradientOptions().stream().sorted().toList();
        List<Output> byParameter =
                parameters.run(
                        dtype, gradients, (n, p, g) -> set(call, n, p, g), () -> call.run(backend));
        List<Output> outputs = new ArrayList<>();
        for (int i = 0; i < names.size(); i++) {
            outputs.add(new Output(names.get(i), tensors.get(i)));
        }
        outputs.addAll(byParameter);
        return outputs;
    }

    private static void set(PairLoss call, String name, Tensor parameter, Tensor gradient) {
        switch (name) {
            case "beta" -> call.beta(parameter).gradBeta(gradient);
            case "beta_kl" -> call.betaKl(parameter).gradBetaKl(gradient);
            case "beta_mix" -> call.betaMix(parameter).gradBetaMix(gradient);
            default -> call.tau(parameter).gradTau(gradient);
        }
    }

    private Tensor output(
            String name, DType dtype, long size, List<String> names, List<Tensor> tensors) {
        names.add(name);
        tensors.add(draw.zeros(dtype, size));
        return tensors.getLast();
    }
}
