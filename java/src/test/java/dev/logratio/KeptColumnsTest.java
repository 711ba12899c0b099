package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Softmax over some columns of each row. */
class KeptColumnsTest {
    private static final double INFINITY = Double.POSITIVE_INFINITY;
    private static final double NAN = Double.NaN;
    private static final TokenOptions PLAIN = TokenOptions.DEFAULT;
    private static final TokenOptions CAPPED = new TokenOptions(-100, .7, 3);

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    static Stream<Backend> natives() {
        return TestBackends.natives();
    }

    /** softmax = (1/2, 1/4, 1/4) of three columns, whatever the others hold. */
    @ParameterizedTest
    @MethodSource("backends")
    void powersOfTwo(Backend backend) {
        double ln2 = Math.log(2);
        double[] logits = {NAN, 3 - ln2, 9, 3 - 2 * ln2, INFINITY, 3 - 2 * ln2, -INFINITY};
        KeptRun run = KeptRun.of(DType.F32, logits, 7, new long[] {3}, PLAIN, new int[] {1, 3, 5});
        run.forward(backend);
        assertEquals(0, run.outside.getLong(0));
        assertEquals(1, run.argmax.getLong(0));
        double lse2 = 6 + Math.log(6. / 16);
        double[] expected = {-2 * ln2, 3, lse2, 1.5 * ln2, 3 - 5 * ln2 / 3};
        Expect.near("figures", expected, run.figures(), 2e-5, 3e-6, 1e-7);
        double[] gradient = {0, -.5, 0, .75, 0, -.25, 0};
        Expect.asPromised("gradient", DType.F32, gradient, run.gradient(backend, 1, 0));
        assertEquals(0, run.gradient(backend, 1, 0)[0]);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void oneKeptColumn(Backend backend) {
        double[] logits = {1, 2, 3, 4, 5, 6, 7, 8};
        KeptRun run =
                KeptRun.of(
                        DType.BF16,
                        logits,
                        4,
                        new long[] {2, 3},
                        PLAIN,
                        new int[] {2},
                        new int[] {0});
        run.forward(backend);
        assertArrayEquals(new double[] {0, -INFINITY}, run.logp.toDoubles());
        assertArrayEquals(new double[] {3, 5}, run.lse.toDoubles(), 1e-6);
        assertArrayEquals(new double[] {6, 10}, run.lse2.toDoubles(), 2e-6);
        assertArrayEquals(new double[2], run.entropy.toDoubles(), 1e-7);
        assertArrayEquals(new double[] {3, 5}, run.mean.toDoubles(), 1e-6);
        assertArrayEquals(new long[] {2, 0}, run.argmax.toLongs());
        assertEquals(1, run.outside.getLong(0));
        for (double value : run.gradient(backend, 1, 1)) {
            assertEquals(0, Math.abs(value));
        }
    }

    /** What other columns are does not matter; they might as well be -inf. */
    @ParameterizedTest
    @MethodSource("backends")
    void otherColumnsAreAsIfMasked(Backend backend) {
        Random random = new Random(11);
        for (TokenOptions options : new TokenOptions[] {PLAIN, CAPPED}) {
            for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
                for (int vocabulary : new int[] {5, 123, 1271, 5000}) {
                    KeptRun run = random(random, dtype, 7, vocabulary, options);
                    run.labels.setLong(options.ignoreIndex(), 3);
                    run.forward(backend);
                    KeptRun masked = run.masked();
                    masked.forward(Backend.reference());
                    run.expect(masked);
                    assertEquals(run.countOutside(), run.outside.getLong(0));
                    for (double[] up : new double[][] {{1.5, 0}, {0, .8}, {-2, .5}}) {
                        Expect.asPromised(
                                run + " gradient of " + Arrays.toString(up),
                                dtype,
                                masked.gradient(Backend.reference(), up[0], up[1]),
                                run.gradient(backend, up[0], up[1]));
                    }
                }
            }
        }
    }

    /** The number of kept columns alone says in which order they are added. */
    @ParameterizedTest(allowZeroInvocations = true) // on the reference alone
    @MethodSource("natives")
    void aRowOfThatLengthGivesTheSameBits(Backend backend) {
        Random random = new Random(12);
        int longest = TestBackends.isSlow(backend) ? 4500 : 70000;
        for (TokenOptions options : new TokenOptions[] {PLAIN, CAPPED}) {
            for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
                for (int kept : new int[] {1, 41, 513, 1025, 2049, longest}) {
                    int vocabulary = kept + 1 + random.nextInt(kept + 50);
                    KeptRun run = sameSizes(random, dtype, 2, vocabulary, kept, options);
                    run.requireSameBits(backend, run.gathered(), true);
                }
            }
        }
    }

    @ParameterizedTest(allowZeroInvocations = true) // on the reference alone
    @MethodSource("natives")
    void allColumnsKeptIsThePlainCallToTheBit(Backend backend) {
        Random random = new Random(13);
        int longest = TestBackends.isSlow(backend) ? 33000 : 140000;
        for (TokenOptions options : new TokenOptions[] {PLAIN, CAPPED}) {
            for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
                for (int vocabulary : new int[] {1, 7, 128, 1024, 1271, 2049, 9000}) {
                    KeptRun run = sameSizes(random, dtype, 3, vocabulary, vocabulary, options);
                    run.labels.setLong(options.ignoreIndex(), 1);
                    run.requireSameBits(backend, run.withoutSets(), false);
                }
            }
        }
        KeptRun run = sameSizes(random, DType.BF16, 1, longest, longest, PLAIN);
        run.requireSameBits(backend, run.withoutSets(), false);
    }

    /** A label outside has no gradient of its own, but its row's entropy has one. */
    @ParameterizedTest
    @MethodSource("backends")
    void labelsOutside(Backend backend) {
        double[] logits = {1, 0, -1, 4, 1, 0, -1, 4, 1, 0, NAN, 4};
        int[] kept = {0, 1, 2};
        KeptRun run =
                KeptRun.of(DType.F32, logits, 4, new long[] {3, -100, 3}, PLAIN, kept, kept, kept);
        run.forward(backend);
        assertEquals(2, run.outside.getLong(0));
        double[] logp = run.logp.toDoubles();
        assertEquals(-INFINITY, logp[0]);
        assertEquals(0, logp[1]);
        assertTrue(Double.isNaN(logp[2]), "a row with NaN");
        double[] ofEntropy = {-0.28258745107944229, 0.14077035746963013, 0.14181709360981216, 0};
        double[] first = Arrays.copyOf(run.gradient(backend, 1, 1), 4);
        Expect.asPromised("of the entropy alone", DType.F32, ofEntropy, first);
        double[] ofLogp = run.gradient(backend, 1, 0);
        assertArrayEquals(new double[12], ofLogp);
        double[] broken = Arrays.copyOfRange(run.gradient(backend, 0, 1), 8, 12);
        assertTrue(Double.isNaN(broken[0]) && Double.isNaN(broken[2]), Arrays.toString(broken));
        assertEquals(0, broken[3]);
    }

    /** The gradient of lse is p, of a row whose label is outside, too. Padding gets 0. */
    @ParameterizedTest
    @MethodSource("backends")
    void upstreamOfLseAndPadding(Backend backend) {
        double[] logits = {0, NAN, Math.log(3), INFINITY, NAN};
        KeptRun run =
                KeptRun.of(
                        DType.F32, logits, 5, new long[] {3}, PLAIN.withVocab(4), new int[] {0, 2});
        run.forward(backend);
        assertEquals(1, run.outside.getLong(0));
        assertEquals(Math.log(4), run.lse.getDouble(0), 1e-6);
        double[] expected = {.25, 0, .75, 0, 0};
        Expect.asPromised("gradient", DType.F32, expected, run.gradientOfLse(backend));
    }

    @ParameterizedTest
    @MethodSource("backends")
    void sequencesOfRows(Backend backend) {
        Random random = new Random(14);
        KeptRun rows = random(random, DType.F32, 6, 41, PLAIN);
        rows.forward(backend);
        KeptRun sequences = rows.asSequences(2, 3);
        sequences.forward(backend);
        assertArrayEquals(rows.figures(), sequences.figures());
        assertArrayEquals(rows.gradient(backend, 1, 1), sequences.gradient(backend, 1, 1));
    }

    @ParameterizedTest
    @MethodSource("backends")
    void noRows(Backend backend) {
        KeptRun run = KeptRun.of(DType.F32, new double[0], 5, new long[0], PLAIN);
        run.outside.setLong(7, 0);
        run.forward(backend);
        assertEquals(0, run.outside.getLong(0));
        assertEquals(0, run.gradient(backend, 1, 1).length);
    }

    @Test
    void theReferencesGradientsAreSlopes() {
        Backend reference = Backend.reference();
        Random random = new Random(15);
        for (TokenOptions options : new TokenOptions[] {PLAIN, CAPPED}) {
            double[] logits = random.doubles(12, -3, 3).toArray();
            int[][] kept = {{0, 2, 3}, {1, 2}};
            KeptRun run = KeptRun.of(DType.F64, logits, 6, new long[] {2, 4}, options, kept);
            run.forward(reference);
            double[] slopes =
                    FiniteDifference.gradient(
                            at -> {
                                KeptRun moved =
                                        KeptRun.of(
                                                DType.F64, at, 6, new long[] {2, 4}, options, kept);
                                moved.forward(reference);
                                return -1.5 * moved.logp.getDouble(0)
                                        + .8
                                                * (moved.entropy.getDouble(0)
                                                        + moved.entropy.getDouble(1));
                            },
                            logits,
                            1e-3);
            Expect.near("gradient", slopes, run.gradient(reference, -1.5, .8), 1e-8, 1e-9);
        }
    }

    /** Sets of any size, the label's column among them as a rule. */
    private static KeptRun random(
            Random random, DType dtype, int rows, int vocabulary, TokenOptions options) {
        int[][] kept = new int[rows][];
        for (int r = 0; r < rows; r++) {
            int size = r == 0 ? vocabulary : 1 + random.nextInt(vocabulary);
            kept[r] = set(random, vocabulary, size);
        }
        return of(random, dtype, vocabulary, options, kept);
    }

    private static KeptRun sameSizes(
            Random random, DType dtype, int rows, int vocabulary, int size, TokenOptions options) {
        int[][] kept = new int[rows][];
        Arrays.setAll(kept, r -> set(random, vocabulary, size));
        return of(random, dtype, vocabulary, options, kept);
    }

    private static KeptRun of(
            Random random, DType dtype, int vocabulary, TokenOptions options, int[][] kept) {
        double[] logits = random.doubles((long) kept.length * vocabulary, -6, 6).toArray();
        long[] labels = new long[kept.length];
        for (int r = 0; r < labels.length; r++) {
            boolean outside = r > 3;
            labels[r] =
                    outside ? random.nextInt(vocabulary) : kept[r][random.nextInt(kept[r].length)];
        }
        return KeptRun.of(dtype, logits, vocabulary, labels, options, kept);
    }

    private static int[] set(Random random, int vocabulary, int size) {
        int[] columns = IntStream.range(0, vocabulary).toArray();
        for (int k = 0; k < size; k++) {
            int other = k + random.nextInt(vocabulary - k);
            int column = columns[k];
            columns[k] = columns[other];
            columns[other] = column;
        }
        return Arrays.stream(columns).limit(size).sorted().toArray();
    }
}
