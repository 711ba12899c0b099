package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.StepRun.Batch;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Tensors in place of beta, beta_kl, beta_mix and tau in a preference step. */
class StepParametersTest {
    private static final Map<String, double[]> EACH =
            Map.of(
                    "beta", new double[] {.1, .4, .25},
                    "beta_kl", new double[] {.1, .4, .25},
                    "beta_mix", new double[] {.3, -.1, .2},
                    "tau", new double[] {.5, .7, 1});

    static Stream<Arguments> losses() {
        return TestBackends.all()
                .flatMap(
                        backend ->
                                TestLosses.withDefaults(Loss.Paired.class)
                                        .map(loss -> Arguments.of(backend, loss)));
    }

    private static Map<String, double[]> parameters(Loss.Paired loss, boolean each) {
        Map<String, double[]> parameters = new LinkedHashMap<>();
        for (String name : ParameterRun.parameters(loss)) {
            double[] all = EACH.get(name);
            parameters.put(name, each ? all : Arrays.copyOf(all, 1));
        }
        return parameters;
    }

    /** A step with parameters, and the gradients by these. */
    private record Run(StepRun step, Map<String, double[]> byParameter) {
        static Run of(
                Backend backend,
                Batch batch,
                List<WeightedLoss> losses,
                Map<String, double[]> parameters) {
            try (Arena arena = Arena.ofConfined()) {
                Map<String, Tensor> gradients = new LinkedHashMap<>();
                StepRun step =
                        StepRun.of(
                                backend,
                                batch,
                                losses,
                                call -> {
                                    parameters.forEach(
                                            (name, values) ->
                                                    gradients.put(
                                                            name, set(arena, call, name, values)));
                                    return call;
                                });
                Map<String, double[]> byParameter = new LinkedHashMap<>();
                gradients.forEach((name, tensor) -> byParameter.put(name, tensor.toDoubles()));
                return new Run(step, byParameter);
            }
        }

        private static Tensor set(Arena arena, PreferenceStep call, String name, double[] values) {
            Tensor parameter = Tensor.of(arena, DType.F64, values, values.length);
            Tensor gradient = Tensor.zeros(arena, DType.F64, values.length).fill(Double.NaN);
            switch (name) {
                case "beta" -> call.beta(parameter).gradBeta(gradient);
                case "beta_kl" -> call.betaKl(parameter).gradBetaKl(gradient);
                case "beta_mix" -> call.betaMix(parameter).gradBetaMix(gradient);
                default -> call.tau(parameter).gradTau(gradient);
            }
            return gradient;
        }
    }

    /** What pair_loss makes of the step's own log-probs. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void isPairLossOfItsLogProbs(Backend backend, Loss.Paired loss) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            for (boolean each : new boolean[] {true, false}) {
                Map<String, double[]> parameters = parameters(loss, each);
                double weight = 1.5;
                Run run =
                        Run.of(backend, batch, List.of(new WeightedLoss(loss, weight)), parameters);
                ParameterRun pairs =
                        ParameterRun.of(backend, loss, ofStep(batch, run.step), parameters);
                double[] losses = new double[StepRun.PAIRS];
                for (int k = 0; k < pairs.losses().length; k++) {
                    losses[k % losses.length] += weight * pairs.losses()[k] / loss.lossesPerPair();
                }
                Expect.near("losses", losses, run.step.losses(), 1e-12, 1e-13);
                double chosen = Arrays.stream(pairs.rewards()[0]).average().orElseThrow();
                assertEquals(chosen, run.step.metrics().rewardsChosen(), 1e-12 * Math.abs(chosen));
                for (String name : parameters.keySet()) {
                    double[] expected = pairs.byParameter().get(name).clone();
                    Arrays.setAll(expected, i -> weight * expected[i]);
                    Expect.near(name, expected, run.byParameter.get(name), 1e-11, 1e-12);
                }
            }
        }
    }

    private static PairRun.Batch ofStep(Batch batch, StepRun step) {
        int pairs = StepRun.PAIRS;
        double[] reference = batch.reference.toDoubles();
        double[][] logps = {
            Arrays.copyOf(step.logps(), pairs),
            Arrays.copyOfRange(step.logps(), pairs, 2 * pairs),
            Arrays.copyOf(reference, pairs),
            Arrays.copyOfRange(reference, pairs, 2 * pairs)
        };
        double[][] counts = {
            Arrays.copyOf(step.counts(), pairs), Arrays.copyOfRange(step.counts(), pairs, 2 * pairs)
        };
        return new PairRun.Batch(logps, counts, null);
    }

    /** A tensor [1], and one of equal elements, are the option, to the bit. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void equalOnesAreTheOption(Backend backend, Loss.Paired loss) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.BF16);
            Map<String, double[]> one = parameters(loss, false);
            Map<String, String> options = new HashMap<>();
            Map<String, double[]> each = new LinkedHashMap<>();
            one.forEach(
                    (name, value) -> {
                        double[] values = new double[StepRun.PAIRS];
                        Arrays.fill(values, value[0]);
                        each.put(name, values);
                        options.put(name, Double.toString(value[0]));
                    });
            StepRun option =
                    StepRun.of(backend, batch, StepRun.one(TestLosses.with(loss, options)), c -> c);
            for (Map<String, double[]> parameters : List.of(one, each)) {
                StepRun step = Run.of(backend, batch, StepRun.one(loss), parameters).step;
                assertArrayEquals(option.losses(), step.losses());
                assertArrayEquals(option.gradient(), step.gradient());
                assertEquals(option.metrics(), step.metrics());
            }
        }
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void gradientsAreTheSlopesOfTheLoss(Backend backend, Loss.Paired loss) {
        try (Arena arena = Arena.ofConfined()) {
            Batch batch = new Batch(arena, DType.F32);
            Map<String, double[]> at = parameters(loss, true);
            Run run = Run.of(backend, batch, StepRun.one(loss), at);
            for (String name : at.keySet()) {
                double[] slopes =
                        FiniteDifference.gradient(
                                values -> {
                                    Map<String, double[]> moved = new HashMap<>(at);
                                    moved.put(name, values);
                                    return Run.of(backend, batch, StepRun.one(loss), moved)
                                            .step
                                            .metrics()
                                            .loss();
                                },
                                at.get(name),
                                1e-4);
                Expect.near(name, slopes, run.byParameter.get(name), 1e-6, 1e-7, 1e-10);
            }
        }
    }
}
