/**
 * The metrics of training steps, under the names that TRL logs, to files and gauges.
 *
 * <p>{@link dev.logratio.trainers.metrics.StepValues} turns the metrics of a {@link
 * dev.logratio.PreferenceStep} or {@link dev.logratio.UnpairedStep} into named values, and a {@link
 * dev.logratio.trainers.metrics.MetricsSink} takes them: {@link
 * dev.logratio.trainers.metrics.JsonLinesSink}, {@link
 * dev.logratio.trainers.metrics.TensorBoardSink}, {@link
 * dev.logratio.trainers.metrics.MicrometerSink}, several at once by {@link
 * dev.logratio.trainers.metrics.MetricsSink#all}, or one of your own.
 */
@NullMarked
package dev.logratio.trainers.metrics;

import org.jspecify.annotations.NullMarked;
