/**
 * The losses on the tensors of PyTorch for Java, {@code org.bytedeco:pytorch} 2.10 or newer, and of
 * what is built on it, such as Storch for Scala. Tensors are passed without a copy, and the
 * gradient of the logits is handed to PyTorch's own backward pass. The application brings PyTorch's
 * natives.
 *
 * <ul>
 *   <li>{@link dev.logratio.trainers.pytorch.PreferenceLoss}: a loss of pairs, from logits to the
 *       gradients of the parameters.
 *   <li>{@link dev.logratio.trainers.pytorch.UnpairedLoss}: the same of single examples.
 *   <li>{@link dev.logratio.trainers.pytorch.TokenLogps}: log-probs of tokens, for losses that are
 *       written in PyTorch's own operations.
 *   <li>{@link dev.logratio.trainers.pytorch.TorchTensors}: views, for every other operation of the
 *       library.
 * </ul>
 *
 * <p>A gradient is written in place ({@code backwardInPlace}) over the logits, which are the
 * largest tensor of a training step, so that nothing of their size is allocated; or beside them
 * ({@code backward}), into memory that is free again when the call returns.
 */
package dev.logratio.trainers.pytorch;
