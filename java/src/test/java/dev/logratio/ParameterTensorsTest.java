package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.PairRun.Batch;
import dev.logratio.loss.Aot;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

/** Tensors in place of beta, beta_kl, beta_mix and tau: of every loss that has them. */
class ParameterTensorsTest {
    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    static Stream<Arguments> losses() {
        return backends()
                .flatMap(
                        backend ->
                                TestLosses.all().stream().map(loss -> Arguments.of(backend, loss)));
    }

    static Stream<Arguments> lossesOfSinglePairs() {
        return losses().filter(
                        arguments -> !TestLosses.ofTheBatch((Loss.Paired) arguments.get()[1]));
    }

    private static Batch batch(int pairs, long seed) {
        Random random = new Random(seed);
        double[][] logps = new double[4][pairs];
        double[][] counts = new double[2][pairs];
        for (int side = 0; side < 2; side++) {
            for (int i = 0; i < pairs; i++) {
                counts[side][i] = 1 + random.nextInt(5);
                logps[side][i] = counts[side][i] * (-.05 - 1.5 * random.nextDouble());
                logps[side + 2][i] = logps[side][i] + 1.3 * random.nextGaussian();
            }
        }
        return new Batch(logps, counts, random.doubles(2L * pairs, -1, 2).toArray());
    }

    /** Values on both sides of the guard of dlrml, some of beta_mix below 0. */
    private static Map<String, double[]> drawn(Loss.Paired loss, int size, long seed) {
        Random random = new Random(seed);
        Map<String, double[]> parameters = new LinkedHashMap<>();
        for (String name : ParameterRun.parameters(loss)) {
            double low = name.equals("beta_mix") ? -.1 : .2;
            parameters.put(name, random.doubles(size, low, low + .9).toArray());
        }
        return parameters;
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void gradientsAreTheSlopesOfTheLoss(Backend backend, Loss.Paired loss) {
        for (int size : new int[] {1, 6}) {
            Batch batch = batch(6, 5 + size);
            Map<String, double[]> at = drawn(loss, size, 11 + size);
            Map<String, double[]> gradients =
                    ParameterRun.of(backend, loss, batch, at).byParameter();
            for (String name : at.keySet()) {
                double[] slopes =
                        FiniteDifference.gradient(
                                values -> {
                                    Map<String, double[]> moved = new HashMap<>(at);
                                    moved.put(name, values);
                                    return ParameterRun.objective(backend, loss, batch, moved);
                                },
                                at.get(name),
                                1e-4);
                Expect.near(name, slopes, gradients.get(name), 1e-7, 1e-7, 1e-11);
            }
        }
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void agreesWithTheReference(Backend backend, Loss.Paired loss) {
        for (int pairs : new int[] {2, 3, 41, 123, 507}) {
            Batch batch = batch(pairs, pairs);
            Map<String, double[]> parameters = drawn(loss, pairs, pairs);
            List<double[]> expected =
                    ParameterRun.of(Backend.reference(), loss, batch, parameters).all();
            List<double[]> actual = ParameterRun.of(backend, loss, batch, parameters).all();
            for (int k = 0; k < expected.size(); k++) {
                Expect.near(pairs + ", " + k, expected.get(k), actual.get(k), 1e-10, 1e-12);
            }
        }
    }

    /** A pair with parameters of its own is that pair alone with such options. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("lossesOfSinglePairs")
    void pairsAreAsIfAlone(Backend backend, Loss.Paired loss) {
        int pairs = 19;
        Batch batch = batch(pairs, 2).fit(loss);
        Map<String, double[]> parameters = drawn(loss, pairs, 3);
        ParameterRun run = ParameterRun.of(backend, loss, batch, parameters);
        for (int i = 0; i < pairs; i++) {
            int at = i;
            Map<String, String> options = new HashMap<>();
            parameters.forEach((name, values) -> options.put(name, Double.toString(values[at])));
            Loss.Paired own = TestLosses.with(loss, options);
            double[][] logps =
                    Arrays.stream(batch.logps())
                            .map(row -> new double[] {row[at]})
                            .toArray(double[][]::new);
            double[][] counts = {{batch.counts()[0][i]}, {batch.counts()[1][i]}};
            PairRun alone =
                    PairRun.of(
                            backend,
                            own,
                            new Batch(logps, counts, new double[] {batch.upstream()[i]}));
            assertEquals(alone.losses()[0], run.losses()[i]);
            for (int k = 0; k < 2; k++) {
                assertEquals(alone.rewards()[k][0], run.rewards()[k][i]);
            }
            for (int k = 0; k < logps.length; k++) {
                assertEquals(alone.gradient()[k][0], run.gradient()[k][i]);
            }
        }
    }

    /** A tensor [1] is the option; its gradient is the sum of those of [P] equal ones. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void oneForAllIsTheOption(Backend backend, Loss.Paired loss) {
        int pairs = 70;
        Batch batch = batch(pairs, 8);
        Map<String, double[]> one = drawn(loss, 1, 9);
        Map<String, double[]> each = new LinkedHashMap<>();
        Map<String, String> options = new HashMap<>();
        one.forEach(
                (name, value) -> {
                    double[] values = new double[pairs];
                    Arrays.fill(values, value[0]);
                    each.put(name, values);
                    options.put(name, Double.toString(value[0]));
                });
        ParameterRun run = ParameterRun.of(backend, loss, batch, one);
        ParameterRun ofEach = ParameterRun.of(backend, loss, batch, each);
        PairRun option = PairRun.of(backend, TestLosses.with(loss, options), batch);
        for (ParameterRun same : List.of(run, ofEach)) {
            assertArrayEquals(option.losses(), same.losses());
            assertArrayEquals(option.rewards()[0], same.rewards()[0]);
            assertArrayEquals(option.rewards()[1], same.rewards()[1]);
            for (int k = 0; k < same.gradient().length; k++) {
                assertArrayEquals(option.gradient()[k], same.gradient()[k]);
            }
        }
        for (String name : one.keySet()) {
            double[] terms = ofEach.byParameter().get(name);
            double sum = Arrays.stream(terms).sum();
            double size = Arrays.stream(terms).map(Math::abs).sum();
            assertEquals(sum, run.byParameter().get(name)[0], 1e-13 * size, name);
        }
    }

    /** One tensor of several, [1] beside [P], and no pair at all. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void someOfThemAndNoPairs(Backend backend, Loss.Paired loss) {
        Batch batch = batch(7, 4);
        Map<String, double[]> each = drawn(loss, 7, 5);
        Map<String, double[]> one = drawn(loss, 1, 6);
        for (String name : each.keySet()) {
            Map<String, double[]> mixed = new LinkedHashMap<>(one);
            mixed.put(name, each.get(name));
            for (Map<String, double[]> parameters :
                    List.of(mixed, Map.of(name, each.get(name)), Map.of(name, one.get(name)))) {
                List<double[]> expected =
                        ParameterRun.of(Backend.reference(), loss, batch, parameters).all();
                List<double[]> actual = ParameterRun.of(backend, loss, batch, parameters).all();
                for (int k = 0; k < expected.size(); k++) {
                    Expect.near(name + " " + k, expected.get(k), actual.get(k), 1e-10, 1e-12);
                }
            }
            Batch none = batch(0, 1);
            double[] sum =
                    ParameterRun.of(backend, loss, none, Map.of(name, one.get(name)))
                            .byParameter()
                            .get(name);
            assertArrayEquals(new double[1], sum);
            assertEquals(
                    0,
                    ParameterRun.of(backend, loss, none, Map.of(name, new double[0]))
                            .losses()
                            .length);
        }
    }

    /** Log-ratios to 5000: where the maths is finite or infinite, never NaN. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("losses")
    void extremesAreNeverNan(Backend backend, Loss.Paired loss) {
        double[] values =
                loss instanceof Loss.ReferenceFree
                        ? new double[] {-5000, -1775, -700, -38, -1, -1e-3, -1e-12, -1e-300}
                        : new double[] {-5000, -1775, -700, -38, -1, 0, 1, 38, 700, 1775, 5000};
        int n = values.length;
        double[][] logps = new double[4][n * n];
        for (int i = 0; i < n * n; i++) {
            logps[0][i] = values[i / n];
            logps[1][i] = values[i % n];
        }
        Batch batch = Batch.of(logps).withUpstream(new Random(1).doubles(2L * n * n).toArray());
        Map<String, double[]> parameters = drawn(loss, n * n, 21);
        ParameterRun expected = ParameterRun.of(Backend.reference(), loss, batch, parameters);
        ParameterRun actual = ParameterRun.of(backend, loss, batch, parameters);
        // A loss of the batch sums over it terms of all sizes: what cancels is rounded.
        double ofLargest = TestLosses.ofTheBatch(loss) ? 1e-12 : 0;
        Expect.near("losses", expected.losses(), actual.losses(), 1e-9, ofLargest, 1e-300);
        for (String name : parameters.keySet()) {
            double[] gradient = actual.byParameter().get(name);
            assertTrue(Arrays.stream(gradient).noneMatch(Double::isNaN), name);
            Expect.near(
                    name,
                    expected.byParameter().get(name),
                    gradient,
                    1e-9,
                    Math.max(ofLargest, 1e-14),
                    1e-300);
        }
    }

    /** A NaN of a pair stays with it. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("lossesOfSinglePairs")
    void nanStaysInItsPair(Backend backend, Loss.Paired loss) {
        Batch clean = batch(9, 3).fit(loss);
        Map<String, double[]> parameters = drawn(loss, 9, 3);
        ParameterRun before = ParameterRun.of(backend, loss, clean, parameters);
        Batch spoilt = batch(9, 3).fit(loss);
        spoilt.logps()[0][4] = Double.NaN;
        ParameterRun after = ParameterRun.of(backend, loss, spoilt, parameters);
        before.byParameter()
                .forEach(
                        (name, values) -> {
                            double[] now = after.byParameter().get(name);
                            for (int i = 0; i < 9; i++) {
                                assertTrue(i == 4 || values[i] == now[i], name + i);
                            }
                        });
        assertTrue(Double.isNaN(after.losses()[4]));
    }

    /** A loss of ranks has its losses by rank, and its rewards by pair. */
    @ParameterizedTest
    @MethodSource("backends")
    void ranksHaveTheirOwn(Backend backend) {
        Batch batch =
                Batch.of(new double[] {3, 1, 2}, new double[3], new double[3], new double[3])
                        .withUpstream(1, 10, 100);
        double[] betas = {.5, .25, 2};
        ParameterRun run = ParameterRun.of(backend, new Aot(), batch, Map.of("beta", betas));
        double[] sorted = {1, 2, 3};
        double[] upstream = {1, 10, 100};
        double[] rewards = {1.5, .25, 4};
        double[] ofChosen = new double[3];
        int[] pairOf = {1, 2, 0};
        double[] ofBeta = new double[3];
        double[] losses = new double[3];
        for (int k = 0; k < 3; k++) {
            losses[k] = Math.log1p(Math.exp(-betas[k] * sorted[k]));
            double slope = -1 / (1 + Math.exp(betas[k] * sorted[k]));
            ofBeta[k] = upstream[k] * slope * sorted[k];
            ofChosen[pairOf[k]] = upstream[k] * slope * betas[k];
        }
        Expect.exact("losses", losses, run.losses());
        Expect.exact("rewards", rewards, run.rewards()[0]);
        Expect.exact("grad_beta", ofBeta, run.byParameter().get("beta"));
        Expect.exact("d chosen", ofChosen, run.gradient()[0]);
    }

    /** The loss is a function of beta D. */
    @ParameterizedTest
    @MethodSource("backends")
    void sigmoidByHand(Backend backend) {
        Batch batch =
                Batch.of(new double[] {2, -1}, new double[] {1, 1}, new double[2], new double[2])
                        .withUpstream(1, 3);
        ParameterRun run =
                ParameterRun.of(
                        backend, new Sigmoid(), batch, Map.of("beta", new double[] {.5, 2}));
        Expect.exact(
                "grad_beta",
                new double[] {-1 / (1 + Math.exp(.5)), 3 * 2 / (1 + Math.exp(-4))},
                run.byParameter().get("beta"));
        Expect.exact("rewards", new double[] {1, -2}, run.rewards()[0]);
        assertEquals(List.of("beta"), ParameterRun.parameters(new Sigmoid()));
        assertEquals(
                List.of("beta_kl", "beta_mix", "tau"),
                ParameterRun.parameters(Losses.of(Loss.Paired.class, "dlrml", Map.of())));
    }
}
