package dev.logratio.trainers.djl;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.dataset.Batch;
import ai.djl.training.dataset.Record;

import dev.logratio.Backend;
import dev.logratio.SequenceOptions;
import dev.logratio.TokenOptions;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.SimPo;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.Arrays;
import java.util.List;
import java.util.Random;

class ChosenFirstBatchifierTest {
    private static final int VOCABULARY = 11;
    private static final int IGNORE = -100;
    private static final double BETA = 0.3;

    /** Odd and even lengths; the last pair's rejected completion is empty. */
    private static final long[][] CHOSEN = {{1, 2, 3}, {4, 5, 6, 7, 8, 9, 10}, {3, 9}};

    private static final long[][] REJECTED = {{1, 2, 7, 8}, {4, 5, 1}, {3}};
    private static final int[] PROMPT = {2, 1, 1};
    private static final double[][] REFERENCE = {{-2.5, -4.75}, {-14, -5.5}, {-2, 0}};

    private final NDManager manager = NDManager.newBaseManager(Device.cpu());

    @AfterEach
    void close() {
        manager.close();
    }

    private static TokenizedPair pair(int index) {
        return TokenizedPair.of(CHOSEN[index], REJECTED[index], PROMPT[index])
                .withReference(REFERENCE[index][0], REFERENCE[index][1]);
    }

    private static PairDataset pairs() {
        return new PairDataset(List.of(pair(0), pair(1), pair(2)), 3);
    }

    private Batch batch() throws Exception {
        return pairs().getData(manager).iterator().next();
    }

    @Test
    void chosenRowsComeFirstShiftedAndPadded() throws Exception {
        Batch batch = batch();
        assertEquals(3, batch.getSize());
        assertRows(
                batch.getData().singletonOrThrow(),
                new long[][] {
                    {1, 2, 0, 0, 0, 0},
                    {4, 5, 6, 7, 8, 9},
                    {3, 0, 0, 0, 0, 0},
                    {1, 2, 7, 0, 0, 0},
                    {4, 5, 0, 0, 0, 0},
                    {0, 0, 0, 0, 0, 0}
                });
        assertEquals(2, batch.getLabels().size());
        assertRows(
                batch.getLabels().get(0),
                new long[][] {
                    {IGNORE, 3, IGNORE, IGNORE, IGNORE, IGNORE},
                    {5, 6, 7, 8, 9, 10},
                    {9, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE},
                    {IGNORE, 7, 8, IGNORE, IGNORE, IGNORE},
                    {5, 1, IGNORE, IGNORE, IGNORE, IGNORE},
                    {IGNORE, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE}
                });
        assertArrayEquals(
                new double[] {-2.5, -14, -2, -4.75, -5.5, 0},
                batch.getLabels().get(1).toDoubleArray());
    }

    private static void assertRows(NDArray actual, long[][] rows) {
        assertEquals(new Shape(rows.length, rows[0].length), actual.getShape());
        assertArrayEquals(
                Arrays.stream(rows).flatMapToLong(Arrays::stream).toArray(), actual.toLongArray());
    }

    @Test
    void aPromptOfEveryLengthIsMasked() {
        long[] tokens = {5, 6, 7, 8};
        long[][] labels = {
            {6, 7, 8}, {6, 7, 8}, {IGNORE, 7, 8}, {IGNORE, IGNORE, 8}, {IGNORE, IGNORE, IGNORE}
        };
        for (int prompt = 0; prompt <= 4; prompt++) {
            Record record = TokenizedPair.of(tokens, tokens, prompt).toRecord(manager);
            assertEquals(2, record.getLabels().size(), "no reference");
            assertArrayEquals(labels[prompt], record.getLabels().get(1).toLongArray());
            assertArrayEquals(new long[] {5, 6, 7}, record.getData().get(0).toLongArray());
        }
    }

    @Test
    void onlyPromptsOfOneTokenMakeOneColumn() {
        Record record = TokenizedPair.of(new long[] {5}, new long[] {5}, 1).toRecord(manager);
        assertRows(
                new ChosenFirstBatchifier(7).batchify(new NDList[] {record.getData()}).head(),
                new long[][] {{7}, {7}});
    }

    @Test
    void takesABatchApartAndSplitsItBetweenPairs() throws Exception {
        NDList labels = batch().getLabels();
        ChosenFirstBatchifier batchifier = new ChosenFirstBatchifier(IGNORE);
        NDList[] apart = batchifier.unbatchify(labels);
        assertEquals(3, apart.length);
        assertArrayEquals(new long[] {5, 6, 7, 8, 9, 10}, apart[1].get(0).toLongArray());
        assertArrayEquals(
                new long[] {5, 1, IGNORE, IGNORE, IGNORE, IGNORE}, apart[1].get(1).toLongArray());
        assertArrayEquals(new double[] {-14, -5.5}, apart[1].get(2).toDoubleArray());
        NDList together = batchifier.batchify(apart);
        assertArrayEquals(labels.get(0).toLongArray(), together.get(0).toLongArray());
        assertArrayEquals(labels.get(1).toDoubleArray(), together.get(1).toDoubleArray());

        NDList[] slices = batchifier.split(labels, 2, false);
        assertEquals(2, slices.length);
        assertEquals(new Shape(4, 6), slices[0].get(0).getShape());
        assertArrayEquals(new double[] {-2.5, -14, -4.75, -5.5}, slices[0].get(1).toDoubleArray());
        assertArrayEquals(new double[] {-2, 0}, slices[1].get(1).toDoubleArray());
        assertEquals(9, slices[1].get(0).getLong(0, 0));
        assertEquals(IGNORE, slices[1].get(0).getLong(1, 0));
    }

    /** A bigram model: the logits of a token are its row of this table, whatever stands around. */
    private static float[] table() {
        Random random = new Random(5);
        float[] table = new float[VOCABULARY * VOCABULARY];
        for (int i = 0; i < table.length; i++) {
            table[i] = (float) random.nextGaussian();
        }
        return table;
    }

    private static double logp(float[] table, long token, long next) {
        double sum = 0;
        for (int k = 0; k < VOCABULARY; k++) {
            sum += Math.exp(table[(int) token * VOCABULARY + k]);
        }
        return table[(int) (token * VOCABULARY + next)] - Math.log(sum);
    }

    private static double logp(float[] table, long[] tokens, int prompt) {
        double sum = 0;
        for (int t = prompt; t < tokens.length; t++) {
            sum += logp(table, tokens[t - 1], tokens[t]);
        }
        return sum;
    }

    /**
     * DPO's loss and its slope in rho, by the paper's formula, for sequences of their own length.
     */
    private record Expected(double loss, double slope) {
        static Expected of(float[] table, int index) {
            double rho =
                    logp(table, CHOSEN[index], PROMPT[index])
                            - REFERENCE[index][0]
                            - logp(table, REJECTED[index], PROMPT[index])
                            + REFERENCE[index][1];
            return new Expected(
                    Math.log1p(Math.exp(-BETA * rho)), -BETA / (1 + Math.exp(BETA * rho)));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void theLossOfABatchIsThatOfItsPairs(String backend) throws Exception {
        float[] table = table();
        Batch batch = batch();
        NDArray logits =
                manager.create(table, new Shape(VOCABULARY, VOCABULARY))
                        .get(batch.getData().singletonOrThrow());
        PreferenceLoss loss =
                new PreferenceLoss(new Sigmoid().withBeta(BETA), Backend.named(backend));
        NDArray labels = batch.getLabels().get(0);

        double[] logps = loss.sequenceLogps(logits, labels);
        PreferenceLoss.Step step = loss.step(logits, labels, batch.getLabels().get(1), true);
        double mean = 0;
        for (int i = 0; i < 3; i++) {
            assertEquals(logp(table, CHOSEN[i], PROMPT[i]), logps[i], 2e-5);
            assertEquals(logp(table, REJECTED[i], PROMPT[i]), logps[3 + i], 2e-5);
            Expected expected = Expected.of(table, i);
            mean += expected.loss() / 3;
            assertGradient(table, CHOSEN[i], PROMPT[i], expected.slope() / 3, step.gradient(), i);
            assertGradient(
                    table, REJECTED[i], PROMPT[i], -expected.slope() / 3, step.gradient(), 3 + i);
        }
        assertEquals(0, logps[5], "an empty completion");
        assertEquals(mean, step.metrics().loss(), 2e-5);
        assertEquals(mean, loss.evaluate(batch.getLabels(), new NDList(logits)).getFloat(), 2e-5);
    }

    @Test
    void sequenceLogpsAreReducedAsTheLossReducesThem() throws Exception {
        float[] table = table();
        Batch batch = batch();
        NDArray labels = batch.getLabels().get(0);
        PreferenceLoss loss =
                new PreferenceLoss(new Sigmoid(), Backend.cpu())
                        .tokenOptions(TokenOptions.DEFAULT.withTemperature(2))
                        .sequenceOptions(
                                SequenceOptions.DEFAULT.withReduction(
                                        SequenceOptions.Reduction.MEAN));
        NDArray tokens = batch.getData().singletonOrThrow();
        NDArray logits = manager.create(table, new Shape(VOCABULARY, VOCABULARY)).get(tokens);
        for (int i = 0; i < table.length; i++) {
            table[i] /= 2;
        }
        double[] logps = loss.sequenceLogps(logits, labels);
        assertEquals(logp(table, CHOSEN[1], PROMPT[1]) / 6, logps[1], 2e-5);
        assertEquals(logp(table, REJECTED[1], PROMPT[1]) / 2, logps[4], 2e-5);
        NDArray reference = manager.create(logps);
        assertEquals(
                Math.log(2),
                loss.step(logits, labels, reference, false).metrics().loss(),
                1e-7,
                "a policy that is its own reference");
    }

    private static void assertGradient(
            float[] table, long[] tokens, int prompt, double slope, NDArray gradient, int row) {
        float[] actual = gradient.get(row).toFloatArray();
        double[] expected = new double[actual.length];
        for (int t = prompt; t < tokens.length; t++) {
            for (int k = 0; k < VOCABULARY; k++) {
                double p = Math.exp(logp(table, tokens[t - 1], k));
                expected[(t - 1) * VOCABULARY + k] = slope * ((tokens[t] == k ? 1 : 0) - p);
            }
        }
        for (int i = 0; i < actual.length; i++) {
            assertEquals(expected[i], actual[i], 2e-6, "row " + row + ", element " + i);
        }
    }

    @Test
    void aForgottenReferenceIsAnError() {
        NDArray logits = manager.zeros(new Shape(2, 1, VOCABULARY));
        NDList labels = new NDList(manager.create(new long[] {3, 4}, new Shape(2, 1)));
        NDList predictions = new NDList(logits);
        PreferenceLoss loss = new PreferenceLoss(new Sigmoid(), Backend.cpu());
        assertMessage(
                "reference is missing; expected the reference's log-probs [2P] for loss sigmoid,"
                        + " or referenceFree()",
                () -> loss.evaluate(labels, predictions));
        float ln2 = (float) Math.log(2);
        assertEquals(ln2, loss.referenceFree().evaluate(labels, predictions).getFloat());
        PreferenceLoss free = new PreferenceLoss(new SimPo(), Backend.cpu());
        assertTrue(Float.isFinite(free.evaluate(labels, predictions).getFloat()));
    }

    @Test
    void namesWhatIsWrong() {
        NDArray row = manager.create(new long[] {1, 2});
        NDArray floats = manager.zeros(new Shape(2));
        ChosenFirstBatchifier batchifier = new ChosenFirstBatchifier(0);
        NDList two = new NDList(row, row);
        assertMessage(
                "pairs are empty; expected at least one", () -> batchifier.batchify(new NDList[0]));
        assertMessage(
                "pair 1 holds 3 arrays; expected chosen and rejected",
                () -> batchifier.batchify(new NDList[] {two, new NDList(row, row, floats)}));
        assertMessage(
                "pair 1 holds 2 arrays; expected three, as pair 0",
                () -> batchifier.batchify(new NDList[] {new NDList(row, row, floats), two}));
        assertMessage(
                "pair 0's rejected is float32 (2); expected INT64 of one dimension",
                () -> batchifier.batchify(new NDList[] {new NDList(row, floats)}));
        assertMessage(
                "pair 0's third array has shape (3); expected two values",
                () ->
                        batchifier.batchify(
                                new NDList[] {new NDList(row, row, manager.zeros(new Shape(3)))}));
        assertMessage(
                "batch has 3 rows; expected chosen ones and as many rejected ones",
                () ->
                        batchifier.unbatchify(
                                new NDList(manager.zeros(new Shape(3, 2), DataType.INT64))));
        assertMessage(
                "chosen has 1 tokens; expected at least 2",
                () -> TokenizedPair.of(new long[1], new long[2], 2));
        assertMessage(
                "rejected has 0 tokens; expected at least 1",
                () -> TokenizedPair.of(new long[1], new long[0], 0));
        assertMessage(
                "promptLength is -1; expected 0 or more",
                () -> TokenizedPair.of(new long[1], new long[1], -1));
        assertNull("pairs", () -> batchifier.batchify(null));
        assertNull("batch", () -> batchifier.unbatchify(null));
        assertNull("rejected", () -> TokenizedPair.of(new long[1], null, 0));
        assertNull("manager", () -> pair(0).toRecord(null));
    }

    private static void assertMessage(String message, Executable call) {
        assertEquals(message, assertThrows(IllegalArgumentException.class, call).getMessage());
    }

    private static void assertNull(String name, Executable call) {
        assertEquals(name, assertThrows(NullPointerException.class, call).getMessage());
    }
}
