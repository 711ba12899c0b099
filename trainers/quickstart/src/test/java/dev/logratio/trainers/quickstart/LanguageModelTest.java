package dev.logratio.trainers.quickstart;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.optimizer.Optimizer;

import dev.logratio.Backend;
import dev.logratio.trainers.djl.LogitsGradient;
import dev.logratio.trainers.djl.TokenLogprobLoss;

import org.junit.jupiter.api.Test;

import java.util.List;

class LanguageModelTest {
    private static final int VOCABULARY = 19;
    private static final Transformer.Config CONFIG =
            new Transformer.Config(VOCABULARY, 12, 8, 2, 2);

    private static float[] logits(LanguageModel model, long... tokens) {
        try (NDManager scope = model.newScope()) {
            return model.forward(scope.create(tokens, new Shape(1, tokens.length)), false)
                    .toFloatArray();
        }
    }

    private static double train(LanguageModel model, int steps, boolean collectGarbage) {
        TokenLogprobLoss loss = new TokenLogprobLoss(Backend.cpu());
        Optimizer optimizer = LanguageModel.optimizer(0.02, steps);
        double[] last = new double[1];
        for (int step = 0; step < steps; step++) {
            try (NDManager scope = model.newScope()) {
                NDArray tokens = scope.create(new long[] {5, 6, 7, 8, 9, 10}, new Shape(2, 3));
                NDArray labels = scope.create(new long[] {6, 7, 8, 9, 10, 11}, new Shape(2, 3));
                model.step(
                        optimizer,
                        tokens,
                        logits -> {
                            if (collectGarbage) {
                                System.gc();
                            }
                            TokenLogprobLoss.Step result = loss.step(logits, labels, true);
                            last[0] = result.loss();
                            LogitsGradient.backward(logits, result.gradient());
                        });
            }
        }
        return last[0];
    }

    @Test
    void neverLooksAhead() {
        try (LanguageModel model = new LanguageModel(CONFIG, 1)) {
            float[] one = logits(model, 5, 6, 7, 8);
            float[] other = logits(model, 5, 6, 7, 3);
            float[] padded = logits(model, 5, 6, 7, 8, 0, 0);
            for (int i = 0; i < 3 * VOCABULARY; i++) {
                assertEquals(one[i], other[i], 1e-6f);
                assertEquals(one[i], padded[i], 1e-6f);
            }
            assertNotEquals(one[3 * VOCABULARY], other[3 * VOCABULARY]);
        }
    }

    @Test
    void learnsAndGoesBackToASnapshot() {
        try (LanguageModel model = new LanguageModel(CONFIG, 1);
                LanguageModel copy = new LanguageModel(CONFIG, 2)) {
            float[] before = logits(model, 5, 6, 7);
            NDList start = model.snapshot();
            double loss = train(model, 60, false);
            assertTrue(loss < 0.3, "loss " + loss);
            assertTrue(Math.abs(before[0] - logits(model, 5, 6, 7)[0]) > 1e-3);
            copy.restore(start);
            model.restore(start);
            assertArrayEquals(before, logits(model, 5, 6, 7));
            assertArrayEquals(before, logits(copy, 5, 6, 7));
            // The snapshot itself has not moved with the training.
            assertEquals(loss, train(model, 60, false));
        }
    }

    /** Autograd must not depend on Java memory that a collection frees. */
    @Test
    void garbageCollectionDoesNotDisturbTheBackwardPass() {
        try (LanguageModel one = new LanguageModel(CONFIG, 1);
                LanguageModel other = new LanguageModel(CONFIG, 1)) {
            assertEquals(train(one, 20, false), train(other, 20, true));
            assertArrayEquals(logits(one, 5, 6, 7), logits(other, 5, 6, 7));
        }
    }

    @Test
    void samplesDependOnTheSeedAlone() {
        try (LanguageModel model = new LanguageModel(CONFIG, 1)) {
            List<List<Integer>> prompts = List.of(List.of(5, 6), List.of(7));
            List<List<Integer>> first = Sampler.sample(model, prompts, 12, 4);
            assertEquals(first, Sampler.sample(model, prompts, 12, 4));
            assertNotEquals(first, Sampler.sample(model, prompts, 12, 5));
            assertTrue(
                    first.stream()
                            .allMatch(
                                    sequence ->
                                            sequence.size() == 12
                                                    || sequence.getLast() == Tokenizer.END));
            assertEquals(List.of(5, 6), first.getFirst().subList(0, 2));
        }
    }

    @Test
    void klIsZeroToItselfAndPositiveToAnother() {
        try (LanguageModel policy = new LanguageModel(CONFIG, 1);
                LanguageModel reference = new LanguageModel(CONFIG, 1)) {
            List<List<Integer>> prompts = List.of(List.of(5, 6), List.of(7));
            List<List<Integer>> answers = Sampler.sample(policy, prompts, 12, 4);
            assertEquals(0, KlEstimate.of(policy, reference, answers, prompts));
            train(policy, 30, false);
            answers = Sampler.sample(policy, prompts, 12, 4);
            double kl = KlEstimate.of(policy, reference, answers, prompts);
            assertEquals(directKl(policy, reference, answers, prompts), kl, 1e-4 * kl);
        }
    }

    /** The same sum written out in float64. */
    private static double directKl(
            LanguageModel policy,
            LanguageModel reference,
            List<List<Integer>> answers,
            List<List<Integer>> prompts) {
        double sum = 0;
        for (int i = 0; i < answers.size(); i++) {
            long[] tokens = answers.get(i).stream().mapToLong(Integer::longValue).toArray();
            float[] p = logits(policy, tokens);
            float[] q = logits(reference, tokens);
            for (int t = prompts.get(i).size() - 1; t < tokens.length - 1; t++) {
                for (int k = 0; k < VOCABULARY; k++) {
                    double logp = p[t * VOCABULARY + k] - logSumExp(p, t);
                    double logq = q[t * VOCABULARY + k] - logSumExp(q, t);
                    sum += Math.exp(logp) * (logp - logq) / answers.size();
                }
            }
        }
        return sum;
    }

    private static double logSumExp(float[] logits, int row) {
        double sum = 0;
        for (int k = 0; k < VOCABULARY; k++) {
            sum += Math.exp(logits[row * VOCABULARY + k]);
        }
        return Math.log(sum);
    }
}
