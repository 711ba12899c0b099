package dev.logratio.trainers.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PreferenceStep;
import dev.logratio.StepMetrics;
import dev.logratio.Tensor;
import dev.logratio.UnpairedStep;
import dev.logratio.UnpairedStepMetrics;
import dev.logratio.loss.ApoZeroUnpaired;
import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/** The values against what TRL's trainers compute for their log, in plain doubles. */
class StepValuesTest {
    private static final int SEQUENCES = 6;
    private static final int TIME = 4;
    private static final int VOCABULARY = 7;
    private static final int IGNORE = -100;
    private static final double BETA = .3;
    private static final double ROUNDING = 1e-12;

    private final double[][][] logits = new double[SEQUENCES][TIME][VOCABULARY];
    private final long[][] labels = new long[SEQUENCES][TIME];
    private final double[] reference = new double[SEQUENCES];

    StepValuesTest() {
        Random random = new Random(5);
        for (int b = 0; b < SEQUENCES; b++) {
            for (int t = 0; t < TIME; t++) {
                Arrays.setAll(logits[b][t], v -> 2 * random.nextGaussian());
                labels[b][t] = (b + t) % 3 == 0 ? IGNORE : random.nextInt(VOCABULARY);
            }
            reference[b] = -5 + random.nextGaussian();
        }
    }

    private static double logSumExp(double[] row) {
        return Math.log(Arrays.stream(row).map(Math::exp).sum());
    }

    private double logp(int b) {
        double sum = 0;
        for (int t = 0; t < TIME; t++) {
            if (labels[b][t] != IGNORE) {
                sum += logits[b][t][(int) labels[b][t]] - logSumExp(logits[b][t]);
            }
        }
        return sum;
    }

    /** The figures of the counted tokens of sequences: logits, entropy, accuracy, in means. */
    private double[] tokens(List<Integer> sequences) {
        double[] sums = new double[3];
        int count = 0;
        for (int b : sequences) {
            for (int t = 0; t < TIME; t++) {
                if (labels[b][t] == IGNORE) {
                    continue;
                }
                double[] row = logits[b][t];
                double lse = logSumExp(row);
                double greatest = Arrays.stream(row).max().orElseThrow();
                sums[0] += Arrays.stream(row).average().orElseThrow();
                sums[1] -= Arrays.stream(row).map(z -> Math.exp(z - lse) * (z - lse)).sum();
                sums[2] += row[(int) labels[b][t]] == greatest ? 1 : 0;
                count++;
            }
        }
        double counted = count;
        return Arrays.stream(sums).map(sum -> sum / counted).toArray();
    }

    private double reward(int b) {
        return BETA * (logp(b) - reference[b]);
    }

    /** What both trainers log of two groups of sequences. */
    private Map<String, Double> expected(List<Integer> chosen, List<Integer> rejected) {
        List<Integer> all = new ArrayList<>(chosen);
        all.addAll(rejected);
        Map<String, Double> values = new LinkedHashMap<>();
        values.put("rewards/chosen", mean(chosen.stream().map(this::reward).toList()));
        values.put("rewards/rejected", mean(rejected.stream().map(this::reward).toList()));
        values.put(
                "rewards/margins", values.get("rewards/chosen") - values.get("rewards/rejected"));
        values.put("logps/chosen", mean(chosen.stream().map(this::logp).toList()));
        values.put("logps/rejected", mean(rejected.stream().map(this::logp).toList()));
        values.put("logits/chosen", tokens(chosen)[0]);
        values.put("logits/rejected", tokens(rejected)[0]);
        values.put("entropy", tokens(all)[1]);
        values.put("mean_token_accuracy", tokens(chosen)[2]);
        return values;
    }

    private static double mean(List<Double> values) {
        return values.stream().mapToDouble(Double::doubleValue).average().orElseThrow();
    }

    private Tensor logits(Arena arena) {
        double[] flat =
                Arrays.stream(logits)
                        .flatMap(Arrays::stream)
                        .flatMapToDouble(Arrays::stream)
                        .toArray();
        return Tensor.of(arena, DType.F64, flat, SEQUENCES, TIME, VOCABULARY);
    }

    private Tensor labels(Arena arena) {
        return Tensor.of(
                arena,
                Arrays.stream(labels).flatMapToLong(Arrays::stream).toArray(),
                SEQUENCES,
                TIME);
    }

    private static void assertValues(Map<String, Double> expected, Map<String, Double> actual) {
        expected.forEach((name, value) -> assertEquals(value, actual.get(name), ROUNDING, name));
        assertTrue(actual.get("grad_norm") > 0);
        assertEquals(0, actual.get("nonfinite"));
    }

    @Test
    void thoseOfPairsAreTrlsDpo() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logps = Tensor.zeros(arena, DType.F64, SEQUENCES);
            StepMetrics metrics =
                    PreferenceStep.of(new Sigmoid().withBeta(BETA), logits(arena), labels(arena))
                            .referenceLogps(Tensor.of(arena, DType.F64, reference, SEQUENCES))
                            .logps(logps)
                            .gradLogits(Tensor.zeros(arena, DType.F64, SEQUENCES, TIME, VOCABULARY))
                            .run(Backend.reference());
            Map<String, Double> expected = expected(List.of(0, 1, 2), List.of(3, 4, 5));
            double right = 0;
            double loss = 0;
            for (int pair = 0; pair < 3; pair++) {
                double margin = reward(pair) - reward(pair + 3);
                right += margin > 0 ? 1 : 0;
                loss += Math.log1p(Math.exp(-margin));
            }
            expected.put("rewards/accuracies", right / 3);
            expected.put("loss", loss / 3);
            Map<String, Double> actual = StepValues.of(metrics, logps.toDoubles());
            assertValues(expected, actual);
            assertEquals(expected.size() + 2, actual.size());
            Set<String> withoutLogps = StepValues.of(metrics).keySet();
            assertEquals(actual.size() - 2, withoutLogps.size());
            assertTrue(actual.keySet().containsAll(withoutLogps));
        }
    }

    @Test
    void thoseOfExamplesAreTrlsKto() {
        boolean[] chosen = {true, false, false, true, true, false};
        Map<String, Double> expected = expected(List.of(0, 3, 4), List.of(1, 2, 5));
        Map<String, Double> actual = unpaired(chosen);
        assertValues(expected, actual);
        assertEquals(expected.size() + 3, actual.size(), "and loss, gradient, nonfinite");
    }

    @Test
    void aSideWithoutExamplesIsLeftOut() {
        Set<String> ofChosen =
                Set.of(
                        "loss",
                        "rewards/chosen",
                        "logps/chosen",
                        "logits/chosen",
                        "mean_token_accuracy",
                        "entropy",
                        "grad_norm",
                        "nonfinite");
        boolean[] all = new boolean[SEQUENCES];
        Arrays.fill(all, true);
        assertEquals(ofChosen, unpaired(all).keySet());
        assertEquals(
                Set.of(
                        "loss",
                        "rewards/rejected",
                        "logps/rejected",
                        "logits/rejected",
                        "entropy",
                        "grad_norm",
                        "nonfinite"),
                unpaired(new boolean[SEQUENCES]).keySet());
    }

    private Map<String, Double> unpaired(boolean[] chosen) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor logps = Tensor.zeros(arena, DType.F64, SEQUENCES);
            double[] flags = new double[SEQUENCES];
            Arrays.setAll(flags, b -> chosen[b] ? 1 : 0);
            UnpairedStepMetrics metrics =
                    UnpairedStep.of(
                                    new ApoZeroUnpaired(BETA),
                                    logits(arena),
                                    labels(arena),
                                    Tensor.of(arena, DType.BOOL, flags, SEQUENCES))
                            .referenceLogps(Tensor.of(arena, DType.F64, reference, SEQUENCES))
                            .logps(logps)
                            .gradLogits(Tensor.zeros(arena, DType.F64, SEQUENCES, TIME, VOCABULARY))
                            .run(Backend.reference());
            return StepValues.of(metrics, logps.toDoubles(), chosen);
        }
    }

    @Test
    void anEvaluationsNamesBeginWithEval() {
        assertEquals(
                Map.of("eval_rewards/chosen", 1.0),
                StepValues.ofEvaluation(Map.of("rewards/chosen", 1.0)));
    }

    @Test
    void meansAreOverTheStepsThatHaveTheValue() {
        MeanValues means = new MeanValues();
        assertEquals(Map.of(), means.take());
        means.add(Map.of("loss", 1.0, "rewards/chosen", 5.0));
        means.add(Map.of("loss", 2.0));
        assertEquals(Map.of("loss", 1.5, "rewards/chosen", 5.0), means.take());
        means.add(Map.of("loss", 4.0));
        assertEquals(Map.of("loss", 4.0), means.take());
    }

    @Test
    void lengthsMustMatch() {
        StepMetrics paired = new StepMetrics(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        assertEquals(
                "logps hold 3 values; expected those of the chosen sequences and as many of the"
                        + " rejected ones",
                assertThrows(
                                IllegalArgumentException.class,
                                () -> StepValues.of(paired, new double[3]))
                        .getMessage());
        UnpairedStepMetrics unpaired = new UnpairedStepMetrics(0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        assertEquals(
                "logps hold 3 values; expected 2, one for each of chosen",
                assertThrows(
                                IllegalArgumentException.class,
                                () -> StepValues.of(unpaired, new double[3], new boolean[2]))
                        .getMessage());
    }
}
