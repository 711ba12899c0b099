package dev.logratio.trainers.djl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.Device;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.metric.Metric;
import ai.djl.metric.Metrics;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.DefaultTrainingConfig;
import ai.djl.training.EasyTrain;
import ai.djl.training.Trainer;
import ai.djl.training.listener.EvaluatorTrainingListener;
import ai.djl.training.listener.LoggingTrainingListener;
import ai.djl.training.optimizer.Optimizer;
import ai.djl.training.tracker.Tracker;

import dev.logratio.Backend;
import dev.logratio.loss.Sigmoid;
import dev.logratio.trainers.metrics.MetricsSink;

import org.junit.jupiter.api.Test;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.LongStream;

/** The listener and the evaluators in DJL's own training loop. */
class StepMetricsListenerTest {
    private static final int EPOCHS = 3;
    private static final int BATCHES = 5;
    private static final String ACCURACY = "rewards/accuracies";
    private static final String LOSS = "sigmoid";

    private record Logged(long step, Map<String, Double> values) {
        boolean isEvaluation() {
            return values.containsKey("eval_loss");
        }
    }

    private final PreferenceLoss loss = new PreferenceLoss(new Sigmoid(), Backend.cpu());
    private final List<Logged> logged = new ArrayList<>();
    private final MetricsSink sink = (step, values) -> logged.add(new Logged(step, values));
    private final StepMetricsListener listener = new StepMetricsListener(loss, sink);
    private final Metrics metrics = new Metrics();

    /** Trains, and returns what DJL printed. */
    private String train() throws Exception {
        Engine.getInstance().setRandomSeed(3);
        DefaultTrainingConfig config =
                new DefaultTrainingConfig(loss)
                        .optDevices(new Device[] {Device.cpu()})
                        .optOptimizer(
                                Optimizer.adam()
                                        .optLearningRateTracker(Tracker.fixed(.03f))
                                        .build())
                        .addEvaluator(loss.evaluator(ACCURACY))
                        .addTrainingListeners(
                                new EvaluatorTrainingListener(1),
                                new LoggingTrainingListener(),
                                listener);
        PrintStream out = System.out;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        try (Model model = Model.newInstance("bigram", Device.cpu())) {
            model.setBlock(SmallTraining.model());
            try (Trainer trainer = model.newTrainer(config)) {
                trainer.setMetrics(metrics);
                trainer.initialize(new Shape(2, 4));
                var training =
                        SmallTraining.withReference(trainer, loss, SmallTraining.pairs(0, 10));
                var others = SmallTraining.withReference(trainer, loss, SmallTraining.pairs(10, 3));
                EasyTrain.fit(
                        trainer, EPOCHS, new PairDataset(training, 2), new PairDataset(others, 2));
            }
        } finally {
            System.setOut(out);
        }
        return printed.toString(StandardCharsets.UTF_8);
    }

    private List<Logged> training() {
        return logged.stream().filter(line -> !line.isEvaluation()).toList();
    }

    private List<Logged> evaluations() {
        return logged.stream().filter(Logged::isEvaluation).toList();
    }

    /** DJL keeps FLOAT32. */
    private List<Float> djl(String name) {
        return metrics.getMetric(name).stream()
                .map(Metric::getValue)
                .map(Double::floatValue)
                .toList();
    }

    private static List<Float> floats(List<Logged> lines, String name) {
        return lines.stream().map(line -> line.values().get(name).floatValue()).toList();
    }

    @Test
    void everyStepIsPublished() throws Exception {
        train();
        assertEquals(
                LongStream.rangeClosed(1, EPOCHS * BATCHES).boxed().toList(),
                training().stream().map(Logged::step).toList());
        assertEquals(List.of(5L, 10L, 15L), evaluations().stream().map(Logged::step).toList());
        Set<String> expected =
                Set.of(
                        "loss",
                        "rewards/chosen",
                        "rewards/rejected",
                        ACCURACY,
                        "rewards/margins",
                        "logps/chosen",
                        "logps/rejected",
                        "logits/chosen",
                        "logits/rejected",
                        "entropy",
                        "mean_token_accuracy",
                        "grad_norm",
                        "nonfinite");
        assertEquals(expected, training().getFirst().values().keySet());
        for (Logged line : training()) {
            assertTrue(line.values().get("grad_norm") > 0, "of the call with a gradient");
            Map<String, Double> values = line.values();
            assertEquals(
                    values.get("rewards/chosen") - values.get("rewards/rejected"),
                    values.get("rewards/margins"),
                    1e-12);
        }
        assertEquals(expected.size() - 1, evaluations().getFirst().values().size(), "no gradient");
    }

    @Test
    void theValuesAreThoseThatDjlMeasures() throws Exception {
        train();
        assertEquals(djl("train_all_" + LOSS), floats(training(), "loss"));
        assertEquals(djl("train_all_" + ACCURACY), floats(training(), ACCURACY));
        assertEquals(floats(training(), "loss"), djl("loss"));
        List<Float> validation = djl("validate_epoch_" + LOSS);
        for (int epoch = 0; epoch < EPOCHS; epoch++) {
            // DJL adds FLOAT32 losses up.
            assertEquals(
                    validation.get(epoch),
                    evaluations().get(epoch).values().get("eval_loss"),
                    1e-6);
        }
        assertEquals(djl("validate_epoch_" + ACCURACY), floats(evaluations(), "eval_" + ACCURACY));
        assertEquals(EPOCHS, djl("eval_loss").size());
    }

    @Test
    void stepsAreTimed() throws Exception {
        train();
        for (int i = 0; i < training().size(); i++) {
            Map<String, Double> values = training().get(i).values();
            // The first of an epoch follows a validation, or the start.
            assertEquals(i % BATCHES != 0, values.containsKey("step_time"), "step " + i);
            if (i % BATCHES != 0) {
                assertTrue(values.get("loss_time") > 0);
                assertTrue(values.get("step_time") > values.get("loss_time"));
            }
        }
        assertTrue(0 < listener.lossShare() && listener.lossShare() < 1);
    }

    @Test
    void theProgressBarShowsAValueBesideTheLoss() throws Exception {
        String printed = train();
        String bar = "Training:    100% \\|[^|]*\\| " + ACCURACY + ": \\d.*, " + LOSS + ": \\d.*";
        assertTrue(printed.lines().anyMatch(line -> line.matches("(?s).*" + bar)), printed);
    }

    @Test
    void stepsGoOnFromACheckpoint() throws Exception {
        listener.stepsBefore(100);
        train();
        assertEquals(101, logged.getFirst().step());
        assertEquals(
                "steps is -1; expected 0 or more",
                assertThrows(IllegalArgumentException.class, () -> listener.stepsBefore(-1))
                        .getMessage());
    }

    @Test
    void anEvaluatorOfAnotherNameTellsTheNames() {
        try (NDManager manager = NDManager.newBaseManager(Device.cpu())) {
            TokenLogprobLoss supervised = new TokenLogprobLoss(Backend.cpu());
            NDList labels = new NDList(manager.create(new long[] {1}));
            NDList logits = new NDList(manager.create(new float[] {1, 2}, new Shape(1, 2)));
            assertEquals(
                    "evaluator is rewards/chosen, a value that token_nll did not measure; expected"
                            + " one of loss",
                    assertThrows(
                                    IllegalArgumentException.class,
                                    () ->
                                            supervised
                                                    .evaluator("rewards/chosen")
                                                    .evaluate(labels, logits))
                            .getMessage());
            assertEquals(
                    Math.log1p(Math.exp(-1)),
                    supervised.evaluator("loss").evaluate(labels, logits).getFloat(),
                    1e-7);
        }
    }
}
