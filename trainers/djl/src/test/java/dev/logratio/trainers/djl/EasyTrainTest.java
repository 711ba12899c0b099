package dev.logratio.trainers.djl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.Device;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;
import ai.djl.nn.SequentialBlock;
import ai.djl.nn.core.Linear;
import ai.djl.training.DefaultTrainingConfig;
import ai.djl.training.EasyTrain;
import ai.djl.training.Trainer;
import ai.djl.training.TrainingResult;
import ai.djl.training.dataset.Batch;
import ai.djl.training.listener.EvaluatorTrainingListener;
import ai.djl.training.listener.TrainingListenerAdapter;
import ai.djl.training.optimizer.Optimizer;
import ai.djl.training.tracker.Tracker;

import dev.logratio.Backend;
import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;

/** DJL's own training loop on a data set of pairs. */
class EasyTrainTest {
    private static final int VOCABULARY = 12;

    /** Chosen completions count up, rejected ones down; each has a length of its own. */
    private static List<TokenizedPair> pairs(int first, int count) {
        List<TokenizedPair> pairs = new ArrayList<>();
        for (int i = first; i < first + count; i++) {
            pairs.add(TokenizedPair.of(walk(i, 1, 3 + i % 4), walk(i, -1, 3 + (i + 1) % 4), 1));
        }
        return pairs;
    }

    private static long[] walk(int start, int step, int length) {
        long[] tokens = new long[length];
        for (int t = 0; t < length; t++) {
            tokens[t] = Math.floorMod(start + step * t, VOCABULARY);
        }
        return tokens;
    }

    private static List<TokenizedPair> withReference(
            Trainer trainer, PreferenceLoss loss, List<TokenizedPair> pairs) throws Exception {
        List<TokenizedPair> scored = new ArrayList<>();
        for (Batch batch : trainer.iterateDataset(new PairDataset(pairs, 4))) {
            NDArray logits = trainer.evaluate(batch.getData()).singletonOrThrow();
            double[] logps = loss.sequenceLogps(logits, batch.getLabels().head());
            for (int i = 0; i < batch.getSize(); i++) {
                scored.add(
                        pairs.get(scored.size())
                                .withReference(logps[i], logps[batch.getSize() + i]));
            }
            batch.close();
        }
        return scored;
    }

    /** DJL's figures of an epoch. */
    private record Losses(float training, float validation) {
        static Losses of(TrainingResult result) {
            return new Losses(result.getTrainLoss(), result.getValidateLoss());
        }
    }

    @Test
    void fitsPairsAndMeasuresOthers() throws Exception {
        Engine.getInstance().setRandomSeed(3);
        PreferenceLoss loss = new PreferenceLoss(new Sigmoid(), Backend.cpu());
        List<Losses> epochs = new ArrayList<>();
        DefaultTrainingConfig config =
                new DefaultTrainingConfig(loss)
                        .optDevices(new Device[] {Device.cpu()})
                        .optOptimizer(
                                Optimizer.adam()
                                        .optLearningRateTracker(Tracker.fixed(.03f))
                                        .build())
                        .addTrainingListeners(
                                new EvaluatorTrainingListener(),
                                new TrainingListenerAdapter() {
                                    @Override
                                    public void onEpoch(Trainer trainer) {
                                        epochs.add(Losses.of(trainer.getTrainingResult()));
                                    }
                                });
        try (Model model = Model.newInstance("bigram", Device.cpu())) {
            model.setBlock(
                    new SequentialBlock()
                            .add(ids -> new NDList(ids.head().oneHot(VOCABULARY)))
                            .add(Linear.builder().setUnits(16).build())
                            .add(Activation::tanh)
                            .add(Linear.builder().setUnits(VOCABULARY).build()));
            try (Trainer trainer = model.newTrainer(config)) {
                trainer.initialize(new Shape(2, 4));
                List<TokenizedPair> training = withReference(trainer, loss, pairs(0, 10));
                List<TokenizedPair> others = withReference(trainer, loss, pairs(10, 3));
                // The model is its own reference yet, so that every pair's loss is log 2.
                EasyTrain.evaluateDataset(trainer, new PairDataset(training, 10));
                assertEquals(Math.log(2), loss.metrics().loss(), 1e-6);
                trainer.notifyListeners(listener -> listener.onEpoch(trainer));

                EasyTrain.fit(trainer, 8, new PairDataset(training, 4), new PairDataset(others, 3));
            }
        }
        assertEquals(Math.log(2), epochs.getFirst().validation(), 1e-6);
        assertEquals(9, epochs.size());
        for (int i = 2; i < epochs.size(); i++) {
            assertTrue(epochs.get(i).training() < epochs.get(i - 1).training(), epochs::toString);
        }
        assertTrue(epochs.getLast().training() < .4, epochs::toString);
        assertTrue(epochs.getLast().validation() < .5, epochs::toString);
        assertEquals(1, loss.metrics().rewardsAccuracy());
    }
}
