package dev.logratio.trainers.djl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.Device;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.DefaultTrainingConfig;
import ai.djl.training.EasyTrain;
import ai.djl.training.Trainer;
import ai.djl.training.TrainingResult;
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
            model.setBlock(SmallTraining.model());
            try (Trainer trainer = model.newTrainer(config)) {
                trainer.initialize(new Shape(2, 4));
                List<TokenizedPair> training =
                        SmallTraining.withReference(trainer, loss, SmallTraining.pairs(0, 10));
                List<TokenizedPair> others =
                        SmallTraining.withReference(trainer, loss, SmallTraining.pairs(10, 3));
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
