package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.logratio.ScoringRuleOptions.Normalisation;
import dev.logratio.ScoringRuleOptions.Rule;
import dev.logratio.internal.reference.ReferenceBackend;

import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

class ScoringRuleTest {
    private static final double INFINITY = Double.POSITIVE_INFINITY;

    private record Entry(ScoringRuleOptions options, double value, double... gradient) {}

    private static ScoringRuleOptions power(Rule rule, double alpha) {
        return ScoringRuleOptions.of(rule).withOrder(alpha, Normalisation.SELTEN);
    }

    private static ScoringRuleOptions smoothed(Rule rule, boolean maskedLog) {
        return ScoringRuleOptions.of(rule).withSmoothing(.1, maskedLog);
    }

    /** Values from 60-digit arithmetic, for logits (2,1,0,-3) and label 1. */
    private static final List<Entry> TABLE =
            List.of(
                    new Entry(
                            ScoringRuleOptions.DEFAULT,
                            1.4120783068966373,
                            0.66227241352412038,
                            -0.75636359460948423,
                            0.089628824664081918,
                            0.0044623564212819364),
                    new Entry(
                            smoothed(Rule.LOG, false),
                            1.5120783068966373,
                            0.63727241352412038,
                            -0.68136359460948423,
                            0.064628824664081918,
                            -0.020537643578718064),
                    new Entry(
                            ScoringRuleOptions.of(Rule.BRIER),
                            0.018743875801139011,
                            0.52967505525825786,
                            -0.49640619182758310,
                            -0.030967020015149195,
                            -0.0023018434155255693),
                    new Entry(
                            smoothed(Rule.BRIER, false),
                            0.017471156879242164,
                            0.49740432121419428,
                            -0.45955065035580229,
                            -0.035334388947255939,
                            -0.0025192819111360527),
                    new Entry(
                            smoothed(Rule.BRIER, true),
                            0.15277311455165810,
                            0.51396113155229729,
                            -0.45345974022103940,
                            -0.033093668330653891,
                            -0.027407723000604004),
                    new Entry(
                            ScoringRuleOptions.of(Rule.SPHERICAL),
                            -0.34249935979441547,
                            0.29687132848296892,
                            -0.30232219446934339,
                            0.0054373880489128447,
                            1.3477937461622358e-5),
                    new Entry(
                            smoothed(Rule.SPHERICAL, false),
                            -0.34339394165144380,
                            0.27437148879896589,
                            -0.27652980283410650,
                            0.0023016282591884310,
                            -0.00014331422404782640),
                    new Entry(
                            smoothed(Rule.SPHERICAL, true),
                            -0.20809198397902787,
                            0.29092829913706890,
                            -0.27043889269934360,
                            0.0045423488757904789,
                            -0.025031755313515778),
                    new Entry(
                            power(Rule.POWER, 1.5),
                            -0.39721951370988372,
                            0.30847794723343531,
                            -0.31522419225784348,
                            0.0071677732922495373,
                            -0.00042152826784136986),
                    new Entry(
                            power(Rule.POWER, 3),
                            0.43323965078047508,
                            0.76415206496429540,
                            -0.62942522230481345,
                            -0.12813292758805412,
                            -0.0065939150714278210),
                    new Entry(
                            power(Rule.PSEUDO_SPHERICAL, 1.5),
                            -0.55957265578473831,
                            0.21970384787235976,
                            -0.23076377313138326,
                            0.010938410494703955,
                            0.00012151476431953955),
                    new Entry(
                            power(Rule.PSEUDO_SPHERICAL, 3),
                            -0.13081593290800867,
                            0.24863659414701513,
                            -0.24925297870446706,
                            0.00061630849894082370,
                            7.6058511111242603e-8));

    private static List<ScoringRuleOptions> everyRule() {
        List<ScoringRuleOptions> all = new ArrayList<>();
        for (double epsilon : new double[] {0, .1}) {
            for (boolean masked : new boolean[] {false, true}) {
                for (Rule rule : List.of(Rule.LOG, Rule.BRIER, Rule.SPHERICAL)) {
                    all.add(ScoringRuleOptions.of(rule).withSmoothing(epsilon, masked));
                }
                for (Rule rule : List.of(Rule.POWER, Rule.PSEUDO_SPHERICAL)) {
                    for (double alpha : new double[] {1.2, 2, 3.5}) {
                        for (Normalisation normalisation : Normalisation.values()) {
                            all.add(
                                    ScoringRuleOptions.of(rule)
                                            .withOrder(alpha, normalisation)
                                            .withSmoothing(epsilon, masked));
                        }
                    }
                }
            }
        }
        return all;
    }

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    static Stream<Arguments> table() {
        return backends()
                .flatMap(backend -> TABLE.stream().map(entry -> Arguments.of(backend, entry)));
    }

    static Stream<ScoringRuleOptions> rules() {
        return everyRule().stream();
    }

    private static final class Outputs {
        final double[] values;
        final double loss;
        final double[] gradient;

        Outputs(
                Backend backend,
                Tensor logits,
                Tensor labels,
                ScoringRuleOptions options,
                Tensor gradLoss) {
            Arena arena = Arena.ofAuto();
            Tensor valuesOut = Tensor.zeros(arena, DType.F64, labels.shape());
            Tensor lossOut = Tensor.zeros(arena, DType.F64, 1);
            Tensor gradientOut =
                    Tensor.zeros(arena, logits.dtype(), logits.shape()).fill(Double.NaN);
            ScoringRule.of(logits, labels)
                    .options(options)
                    .gradLoss(gradLoss)
                    .values(valuesOut)
                    .loss(lossOut)
                    .gradLogits(gradientOut)
                    .run(backend);
            values = valuesOut.toDoubles();
            loss = lossOut.getDouble(0);
            gradient = gradientOut.toDoubles();
        }
    }

    private static double[] normal(long seed, double spread, int count) {
        Random random = new Random(seed);
        return random.doubles(count).map(ignored -> spread * random.nextGaussian()).toArray();
    }

    @ParameterizedTest
    @MethodSource("table")
    void published(Backend backend, Entry entry) {
        DType dtype = backend instanceof ReferenceBackend ? DType.F64 : DType.F32;
        Tensor logits = Tensor.of(dtype, new double[] {2, 1, 0, -3}, 1, 4);
        Outputs out =
                new Outputs(backend, logits, Tensor.of(new long[] {1}, 1), entry.options, null);
        double relative = backend instanceof ReferenceBackend ? 1e-13 : 2e-6;
        Expect.near("value", new double[] {entry.value}, out.values, relative, 0, relative);
        assertEquals(out.values[0], out.loss);
        Expect.near("gradient", entry.gradient, out.gradient, relative, relative);
    }

    /** Away from the mask's threshold, where the loss jumps. */
    @ParameterizedTest
    @MethodSource("rules")
    void referenceIsTheDerivative(ScoringRuleOptions options) {
        double[] x = {.3, -1.2, 2.1, -4, .9, 1.4, -.5};
        Tensor label = Tensor.of(new long[] {4}, 1);
        double[] expected =
                FiniteDifference.gradient(
                        at ->
                                new Outputs(
                                                Backend.reference(),
                                                Tensor.of(DType.F64, at, 1, 7),
                                                label,
                                                options,
                                                null)
                                        .values[0],
                        x,
                        1e-3);
        Outputs out =
                new Outputs(
                        Backend.reference(), Tensor.of(DType.F64, x, 1, 7), label, options, null);
        Expect.near("gradient", expected, out.gradient, 1e-8, 1e-8);
    }

    @ParameterizedTest
    @MethodSource("rules")
    void cpuAgreesWithTheReference(ScoringRuleOptions options) {
        for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
            for (int columns : new int[] {1, 2, 41, 507, 32_771}) {
                Tensor logits = Tensor.of(dtype, normal(columns, 2, 3 * columns), 3, columns);
                Tensor labels = Tensor.of(new long[] {0, columns - 1, -100}, 3);
                agree(columns + " " + dtype, dtype, logits, labels, options);
                agree(
                        "a part of " + columns,
                        dtype,
                        logits,
                        labels.fill(0),
                        options.withVocab((columns + 1) / 2));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("rules")
    void cpuAgreesWithTheReferenceAtExtremes(ScoringRuleOptions options) {
        int columns = 130;
        Tensor logits = Tensor.of(DType.F32, normal(9, 3, 6 * columns), 6, columns);
        for (int k = 0; k < columns; k++) {
            logits.setDouble(k == 7 ? 3 : -INFINITY, 0, k);
            logits.setDouble(-INFINITY, 1, k);
            logits.setDouble(logits.getDouble(5, k) * 100, 5, k);
        }
        logits.setDouble(Double.NaN, 2, 9);
        logits.setDouble(INFINITY, 3, 9);
        logits.setDouble(-INFINITY, 4, 5);
        agree("extremes", DType.F32, logits, Tensor.of(new long[] {7, 0, 1, 2, 5, 3}, 6), options);
    }

    private static void agree(
            String what, DType dtype, Tensor logits, Tensor labels, ScoringRuleOptions options) {
        Outputs actual = new Outputs(TestBackends.cpu(), logits, labels, options, null);
        Outputs expected = new Outputs(Backend.reference(), logits, labels, options, null);
        double alpha = options.alpha();
        double unit =
                1e-7
                        * (options.normalisation() == Normalisation.SELTEN
                                ? alpha * alpha
                                : 1 / (alpha - 1)); // of the terms that cancel
        Expect.near(what + " values", expected.values, actual.values, 2e-5, 3e-6, 4 * unit);
        switch (dtype) {
            case F32 -> Expect.near(what, expected.gradient, actual.gradient, 2e-5, 3e-6, unit);
            case BF16 -> Expect.near(what, expected.gradient, actual.gradient, 0x1p-7, 2e-3, unit);
            default ->
                    Expect.near(
                            what,
                            expected.gradient,
                            actual.gradient,
                            0x1p-10,
                            2e-3,
                            Math.max(unit, 0x1p-24));
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void ignoredRowsUpstreamAndSequences(Backend backend) {
        Tensor logits = Tensor.of(DType.F32, normal(1, 2, 4 * 41), 2, 2, 41);
        Tensor labels = Tensor.of(new long[] {5, 9, 9, 40}, 2, 2);
        ScoringRuleOptions options = ScoringRuleOptions.of(Rule.BRIER).withIgnoreIndex(9);
        Tensor upstream = Tensor.of(DType.F32, new double[] {3, 1, 1, -2}, 2, 2);
        Outputs mean = new Outputs(backend, logits, labels, options, null);
        Outputs weighted = new Outputs(backend, logits, labels, options, upstream);
        assertArrayEquals(new double[] {0, 0}, Arrays.copyOfRange(mean.values, 1, 3));
        assertEquals((mean.values[0] + mean.values[3]) / 2, mean.loss, 1e-12);
        double[] expected = mean.gradient.clone();
        for (int i = 0; i < expected.length; i++) {
            expected[i] *= 2 * upstream.getDouble(i / 82, i / 41 % 2);
        }
        Expect.near("gradient", expected, weighted.gradient, 1e-6, 1e-6);
        assertEquals(
                0,
                new Outputs(backend, logits, Tensor.zeros(DType.I64, 2, 2).fill(9), options, null)
                        .loss);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void mistakesAreNamed(Backend backend) {
        Tensor logits = Tensor.zeros(DType.F32, 1, 4);
        Tensor labels = Tensor.of(new long[] {3}, 1);
        Tensor out = Tensor.zeros(DType.F32, 1, 4);
        ScoringRule call = ScoringRule.of(logits, labels).gradLogits(out);
        assertEquals(
                "labels[0] is 3, expected a number in [0,3) or the ignore_index -100",
                message(() -> call.options(ScoringRuleOptions.DEFAULT.withVocab(3)).run(backend)));
        assertEquals(
                "vocab is 5, expected at most the 4 columns of logits",
                message(() -> call.options(ScoringRuleOptions.DEFAULT.withVocab(5)).run(backend)));
        assertEquals(
                "alpha is 3.0, expected 2 as brier has no such option",
                message(() -> power(Rule.BRIER, 3)));
        assertEquals(
                "alpha is 1.0, expected a finite number > 1", message(() -> power(Rule.POWER, 1)));
        assertEquals(
                "epsilon is 1.0, expected a number in [0,1)",
                message(() -> ScoringRuleOptions.DEFAULT.withSmoothing(1, false)));
        assertEquals(
                "normalisation is jnw, expected selten as log has no such option",
                message(() -> ScoringRuleOptions.DEFAULT.withOrder(2, Normalisation.JNW)));
    }

    private static String message(Executable executable) {
        return assertThrows(IllegalArgumentException.class, executable).getMessage();
    }
}
