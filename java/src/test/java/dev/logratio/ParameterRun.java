package dev.logratio;

import dev.logratio.PairRun.Batch;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
import dev.logratio.loss.OptionInfo;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A pair loss in float64 with tensors in place of options, and what came of it.
 *
 * @param gradient with respect to the log-probs that were given
 * @param byParameter gradients by the parameters, of the tensors' shapes
 */
record ParameterRun(
        double[] losses,
        double[][] rewards,
        double[][] gradient,
        Map<String, double[]> byParameter) {
    private static final List<String> PARAMETERS = List.of("beta", "beta_kl", "beta_mix", "tau");

    /** The options of a loss that tensors may stand for. */
    static List<String> parameters(Loss.Paired loss) {
        return Losses.options(loss.id()).stream()
                .map(OptionInfo::name)
                .filter(PARAMETERS::contains)
                .toList();
    }

    /**
     * Runs a loss.
     *
     * @param parameters [1] or [P] by name
     */
    static ParameterRun of(
            Backend backend, Loss.Paired loss, Batch given, Map<String, double[]> parameters) {
        Batch batch = given.fit(loss);
        int pairs = batch.logps()[0].length;
        try (Arena arena = Arena.ofConfined()) {
            Tensor losses = zeros(arena, loss.lossesPerPair() * pairs);
            Tensor[] rewards = {zeros(arena, pairs), zeros(arena, pairs)};
            Tensor[] gradient = new Tensor[batch.logps().length];
            Arrays.setAll(gradient, k -> zeros(arena, pairs));
            PairLoss call =
                    PairLoss.of(
                                    loss,
                                    doubles(arena, batch.logps()[0]),
                                    doubles(arena, batch.logps()[1]))
                            .counts(
                                    doubles(arena, batch.counts()[0]),
                                    doubles(arena, batch.counts()[1]))
                            .losses(losses)
                            .rewards(rewards[0], rewards[1])
                            .gradPolicy(gradient[0], gradient[1]);
            if (batch.upstream() != null) {
                call.gradLoss(doubles(arena, batch.upstream()));
            }
            if (gradient.length == 4) {
                call.reference(doubles(arena, batch.logps()[2]), doubles(arena, batch.logps()[3]))
                        .gradReference(gradient[2], gradient[3]);
            } else {
                call.referenceFree();
            }
            Map<String, Tensor> byParameter = new LinkedHashMap<>();
            parameters.forEach(
                    (name, values) -> {
                        Tensor out = zeros(arena, values.length).fill(Double.NaN);
                        set(call, name, doubles(arena, values), out);
                        byParameter.put(name, out);
                    });
            call.run(backend);
            Map<String, double[]> gradients = new LinkedHashMap<>();
            byParameter.forEach((name, tensor) -> gradients.put(name, tensor.toDoubles()));
            return new ParameterRun(
                    losses.toDoubles(), values(rewards), values(gradient), gradients);
        }
    }

    private static void set(PairLoss call, String name, Tensor parameter, Tensor gradient) {
        switch (name) {
            case "beta" -> call.beta(parameter).gradBeta(gradient);
            case "beta_kl" -> call.betaKl(parameter).gradBetaKl(gradient);
            case "beta_mix" -> call.betaMix(parameter).gradBetaMix(gradient);
            case "tau" -> call.tau(parameter).gradTau(gradient);
            default -> throw new AssertionError(name);
        }
    }

    /** The sum of the losses, each times its upstream gradient. */
    static double objective(
            Backend backend, Loss.Paired loss, Batch given, Map<String, double[]> parameters) {
        double[] losses = of(backend, loss, given, parameters).losses;
        double[] upstream = given.fit(loss).upstream();
        double sum = 0;
        for (int k = 0; k < losses.length; k++) {
            sum += losses[k] * upstream[k];
        }
        return sum;
    }

    /** All numbers of a run, in one list, for comparisons of whole runs. */
    List<double[]> all() {
        List<double[]> all = new ArrayList<>(List.of(losses, rewards[0], rewards[1]));
        all.addAll(List.of(gradient));
        all.addAll(byParameter.values());
        return all;
    }

    private static double[][] values(Tensor[] tensors) {
        return Arrays.stream(tensors).map(Tensor::toDoubles).toArray(double[][]::new);
    }

    private static Tensor zeros(Arena arena, long size) {
        return Tensor.zeros(arena, DType.F64, size);
    }

    private static Tensor doubles(Arena arena, double[] values) {
        return Tensor.of(arena, DType.F64, values, values.length);
    }
}
