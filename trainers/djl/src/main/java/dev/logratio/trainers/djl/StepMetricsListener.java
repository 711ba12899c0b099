package dev.logratio.trainers.djl;

import ai.djl.metric.Metrics;
import ai.djl.ndarray.NDList;
import ai.djl.training.Trainer;
import ai.djl.training.listener.TrainingListenerAdapter;

import dev.logratio.trainers.metrics.MeanValues;
import dev.logratio.trainers.metrics.MetricsSink;
import dev.logratio.trainers.metrics.StepValues;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Publishes what a loss measured: in DJL's own {@link Metrics}, where the trainer has one, and in
 * {@linkplain MetricsSink sinks}, under TRL's names ({@link StepValues}).
 *
 * <p>A training batch is a step, whose values are those of the call that made the gradient. At the
 * end of an epoch the means over its validation batches follow, with {@code eval_} before their
 * names, as values of the last step; a validation batch that no {@link
 * ai.djl.training.listener.EvaluatorTrainingListener} before this one has evaluated costs a call of
 * the loss.
 *
 * <p>Two values are times in seconds: {@code step_time}, from the end of the batch before to the
 * end of this one (data, forward pass, loss, backward pass, optimiser, listeners), and {@code
 * loss_time}, what the loss took of it, DJL's second evaluation for its metrics included. The first
 * batch, and the first one after a validation, has neither.
 *
 * <p>DJL's progress bar shows evaluators and nothing that a listener could add: {@link
 * ExternalLoss#evaluator} makes one. A sink that throws ends the training.
 *
 * @since 0.1.0
 */
public final class StepMetricsListener extends TrainingListenerAdapter {
    private static final double NANOSECONDS = 1e9;

    private final ExternalLoss loss;
    private final MetricsSink sink;
    private final MeanValues validation = new MeanValues();
    private long step;
    private boolean timed;
    private long stepStart;
    private double lossSecondsAtStart;
    private double stepSeconds;
    private double lossSeconds;

    /**
     * A listener whose first training batch is step 1.
     *
     * @param loss the trainer's loss, or a part of it
     * @param sinks get every record; they stay the caller's to close
     * @throws NullPointerException if an argument is null; the message names it
     */
    public StepMetricsListener(ExternalLoss loss, MetricsSink... sinks) {
        this.loss = Objects.requireNonNull(loss, "loss");
        sink = MetricsSink.all(Objects.requireNonNull(sinks, "sinks"));
    }

    /**
     * Sets how many steps there were before, for training that goes on from a checkpoint.
     *
     * @param steps 0 or more; default 0
     * @return this
     * @throws IllegalArgumentException if the number is negative
     */
    public StepMetricsListener stepsBefore(long steps) {
        if (steps < 0) {
            throw new IllegalArgumentException("steps is " + steps + "; expected 0 or more");
        }
        step = steps;
        return this;
    }

    @Override
    public void onTrainingBatch(Trainer trainer, BatchData batchData) {
        step++;
        Map<String, Double> values = new LinkedHashMap<>(loss.trainingValues());
        if (timed) {
            double stepTime = (System.nanoTime() - stepStart) / NANOSECONDS;
            double lossTime = loss.seconds() - lossSecondsAtStart;
            stepSeconds += stepTime;
            lossSeconds += lossTime;
            values.put("step_time", stepTime);
            values.put("loss_time", lossTime);
        }
        publish(trainer, values);
        timed = true;
        stepStart = System.nanoTime();
        lossSecondsAtStart = loss.seconds();
    }

    @Override
    public void onValidationBatch(Trainer trainer, BatchData batchData) {
        timed = false;
        batchData
                .getPredictions()
                .forEach(
                        (device, predictions) -> {
                            NDList labels = batchData.getLabels().get(device);
                            validation.add(loss.valuesOf(labels, predictions));
                        });
    }

    @Override
    public void onEpoch(Trainer trainer) {
        timed = false;
        publish(trainer, StepValues.ofEvaluation(validation.take()));
    }

    private void publish(Trainer trainer, Map<String, Double> values) {
        Metrics metrics = trainer.getMetrics();
        if (metrics != null) {
            values.forEach(metrics::addMetric);
        }
        sink.log(step, values);
    }

    /**
     * Returns the share of the timed steps that was spent in the loss.
     *
     * @return {@code loss_time} over {@code step_time}, in [0,1]; NaN before the second batch
     */
    public double lossShare() {
        return lossSeconds / stepSeconds;
    }
}
