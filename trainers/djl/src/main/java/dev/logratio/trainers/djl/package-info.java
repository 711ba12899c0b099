/**
 * The losses as drop-in {@linkplain ai.djl.training.loss.Loss DJL losses} on the PyTorch engine,
 * and {@linkplain dev.logratio.trainers.djl.ChosenFirstBatchifier batches of preference pairs} for
 * {@link ai.djl.training.EasyTrain}. An application brings the engine, {@code
 * ai.djl.pytorch:pytorch-engine}, and its natives.
 *
 * <p>DJL has no custom autograd function. {@link dev.logratio.trainers.djl.LogitsGradient} hands a
 * gradient that was computed outside to DJL's autograd instead: through a surrogate scalar whose
 * value and gradient are exactly the given ones, or, in a training loop of one's own, directly.
 *
 * <p>DJL hands out no device pointers, so that arrays must lie in the CPU's memory; {@code
 * logratio-pytorch} works on a GPU. {@link dev.logratio.trainers.djl.StepMetricsListener} hands
 * what a loss measured to DJL's metrics and to files, {@link
 * dev.logratio.trainers.djl.ExternalLoss#evaluator} to DJL's progress bar.
 *
 * <p>Each call computes its loss anew from the arrays and options as they are then.
 */
package dev.logratio.trainers.djl;
