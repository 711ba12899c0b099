import ai.djl.Device;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.metric.Metrics;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;
import ai.djl.nn.Block;
import ai.djl.nn.SequentialBlock;
import ai.djl.nn.core.Linear;
import ai.djl.training.DefaultTrainingConfig;
import ai.djl.training.EasyTrain;
import ai.djl.training.Trainer;
import ai.djl.training.TrainingResult;
import ai.djl.training.dataset.Batch;
import ai.djl.training.listener.EpochTrainingListener;
import ai.djl.training.listener.EvaluatorTrainingListener;
import ai.djl.training.listener.LoggingTrainingListener;
import ai.djl.training.listener.TrainingListener;
import ai.djl.training.listener.TrainingListenerAdapter;
import ai.djl.training.optimizer.Optimizer;
import ai.djl.training.tracker.Tracker;

import dev.logratio.Backend;
import dev.logratio.loss.Sigmoid;
import dev.logratio.trainers.djl.PreferenceLoss;
import dev.logratio.trainers.djl.StepMetricsListener;
import dev.logratio.trainers.metrics.JsonLinesSink;
import dev.logratio.trainers.metrics.MetricsSink;
import dev.logratio.trainers.metrics.TensorBoardSink;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Trains a tiny language model with DPO in DJL's own training loop. */
public final class TrainOnPairs {
    private static final int EPOCHS = 8;
    private static final int BATCH = 4;

    private TrainOnPairs() {}

    /** Trains, prints the losses of every epoch and writes the metrics of every step. */
    public static void main(String[] args) throws Exception {
        Path folder = args.length > 0 ? Path.of(args[0]) : Files.createTempDirectory("djl-metrics");
        Engine.getInstance().setRandomSeed(1);
        PreferenceLoss loss = new PreferenceLoss(new Sigmoid(), Backend.cpu());
        PrintedLosses losses = new PrintedLosses();
        // @start region=sinks
        try (MetricsSink sink =
                MetricsSink.all(
                        JsonLinesSink.open(folder.resolve("metrics.jsonl")),
                        TensorBoardSink.open(folder))) {
            StepMetricsListener steps = new StepMetricsListener(loss, sink);
            train(loss, losses, steps);
            System.out.printf(
                    "%.1f %% of a step is the loss; metrics are in %s%n",
                    100 * steps.lossShare(), folder);
        }
        // @end
        if (!losses.fellEveryEpoch()) {
            throw new IllegalStateException("the loss did not fall in every epoch");
        }
        System.out.println("The training loss fell in every epoch.");
    }

    private static void train(PreferenceLoss loss, TrainingListener... listeners) throws Exception {
        // @start region=config
        DefaultTrainingConfig config =
                new DefaultTrainingConfig(loss)
                        .optDevices(new Device[] {Device.cpu()})
                        .optOptimizer(
                                Optimizer.adam()
                                        .optLearningRateTracker(Tracker.fixed(0.03f))
                                        .build())
                        // Stands in DJL's progress bar, beside the loss.
                        .addEvaluator(loss.evaluator("rewards/accuracies"))
                        .addTrainingListeners(
                                new EpochTrainingListener(),
                                // Every batch: an epoch has but three.
                                new EvaluatorTrainingListener(1),
                                new LoggingTrainingListener())
                        .addTrainingListeners(listeners);
        // @end
        try (Model model = Model.newInstance("tiny", Device.cpu())) {
            model.setBlock(languageModel());
            try (Trainer trainer = model.newTrainer(config)) {
                trainer.setMetrics(new Metrics());
                trainer.initialize(new Shape(2 * BATCH, 1));
                // The model as it is before training is the reference.
                CountingPairs training =
                        withReference(trainer, loss, CountingPairs.startingWith(0, 9, BATCH));
                CountingPairs validation =
                        withReference(trainer, loss, CountingPairs.startingWith(9, 3, BATCH));
                EasyTrain.fit(trainer, EPOCHS, training, validation);
            }
        }
    }

    /** Tokens [B,T] to logits [B,T,V], each from the one token before. */
    private static Block languageModel() {
        return new SequentialBlock()
                .add(tokens -> new NDList(tokens.head().oneHot(CountingPairs.VOCABULARY)))
                .add(Linear.builder().setUnits(16).build())
                .add(Activation::tanh)
                .add(Linear.builder().setUnits(CountingPairs.VOCABULARY).build());
    }

    private static CountingPairs withReference(
            Trainer trainer, PreferenceLoss loss, CountingPairs pairs) throws Exception {
        List<double[]> logps = new ArrayList<>();
        for (Batch batch : trainer.iterateDataset(pairs)) {
            NDArray logits = trainer.evaluate(batch.getData()).singletonOrThrow();
            double[] ofBatch = loss.sequenceLogps(logits, batch.getLabels().head());
            for (int i = 0; i < batch.getSize(); i++) {
                logps.add(new double[] {ofBatch[i], ofBatch[batch.getSize() + i]});
            }
            batch.close();
        }
        return pairs.withReference(logps, BATCH);
    }

    /** Prints the losses of an epoch once it is over. */
    private static final class PrintedLosses extends TrainingListenerAdapter {
        private final List<Float> training = new ArrayList<>();

        @Override
        public void onEpoch(Trainer trainer) {
            TrainingResult result = trainer.getTrainingResult();
            System.out.printf(
                    "epoch %d: training loss %.4f, validation loss %.4f%n",
                    result.getEpoch(), result.getTrainLoss(), result.getValidateLoss());
            training.add(result.getTrainLoss());
        }

        boolean fellEveryEpoch() {
            for (int epoch = 1; epoch < training.size(); epoch++) {
                if (!(training.get(epoch) < training.get(epoch - 1))) {
                    return false;
                }
            }
            return true;
        }
    }
}
