package dev.logratio.trainers.djl;

import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.Device;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.core.Linear;
import ai.djl.training.DefaultTrainingConfig;
import ai.djl.training.GradientCollector;
import ai.djl.training.Trainer;
import ai.djl.training.optimizer.Optimizer;
import ai.djl.training.tracker.Tracker;

import dev.logratio.Backend;
import dev.logratio.loss.Sigmoid;

import org.junit.jupiter.api.Test;

/** The loss in DJL's own trainer. */
class DjlTrainerTest {
    @Test
    void trainsALayerToPreferTheChosenRows() {
        Engine.getInstance().setRandomSeed(3);
        PreferenceLoss loss = new PreferenceLoss(new Sigmoid(), Backend.cpu());
        DefaultTrainingConfig config =
                new DefaultTrainingConfig(loss)
                        .optDevices(new Device[] {Device.cpu()})
                        .optOptimizer(
                                Optimizer.sgd().setLearningRateTracker(Tracker.fixed(5f)).build());
        try (Model model = Model.newInstance("layer", Device.cpu())) {
            model.setBlock(Linear.builder().setUnits(11).build());
            try (Trainer trainer = model.newTrainer(config);
                    NDManager manager = trainer.getManager().newSubManager()) {
                trainer.initialize(new Shape(4, 3, 6));
                NDArray features = manager.randomNormal(new Shape(4, 3, 6));
                NDList target =
                        new NDList(
                                manager.create(
                                        new long[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1},
                                        new Shape(4, 3)),
                                manager.create(new float[] {-7, -7, -7, -7}));
                double first = step(trainer, loss, features, target);
                for (int i = 0; i < 30; i++) {
                    step(trainer, loss, features, target);
                }
                double last = step(trainer, loss, features, target);
                assertTrue(last < first - 0.1, first + " to " + last);
                assertTrue(loss.metrics().rewardsAccuracy() == 1, loss.metrics().toString());
            }
        }
    }

    private static double step(
            Trainer trainer, PreferenceLoss loss, NDArray features, NDList target) {
        GradientCollector collector = trainer.newGradientCollector();
        try (collector) {
            NDArray value = loss.evaluate(target, trainer.forward(new NDList(features)));
            collector.backward(value);
        }
        trainer.step();
        return loss.metrics().loss();
    }
}
