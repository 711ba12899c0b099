package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.pytorch.jni.JniUtils;
import ai.djl.training.loss.Loss;

import java.util.Objects;

/** A DJL loss whose value and gradient come from this library. */
abstract class ExternalLoss extends Loss {
    ExternalLoss(String name) {
        super(name);
    }

    /** A loss, and its gradient with respect to the logits; null if it was not wanted. */
    record Value(double loss, NDArray gradient) {}

    abstract Value value(NDList labels, NDArray logits, boolean wantGradient);

    /**
     * Computes the loss of the arrays as they are now. Within a gradient collector the result
     * carries the gradient too.
     *
     * <p>Nothing is kept from one call to the next: arrays and options may change in between, and
     * to find out whether they did would take as long as the loss. DJL's trainer evaluates a batch
     * a second time, after its collector has closed, for its metrics; that call costs another read
     * of the logits and gives the same bits. A training loop on the {@code step} of a loss does
     * without it.
     *
     * @param labels see the class
     * @param predictions one array, the logits
     * @return FLOAT32, no dimensions
     * @throws IllegalArgumentException if an array is wrong; the message names it
     * @throws NullPointerException if a list is null; the message names it
     */
    @Override
    public final NDArray evaluate(NDList labels, NDList predictions) {
        Objects.requireNonNull(labels, "labels");
        Objects.requireNonNull(predictions, "predictions");
        if (predictions.size() != 1) {
            throw new IllegalArgumentException(
                    "predictions hold " + predictions.size() + " arrays; expected one, the logits");
        }
        NDArray logits = predictions.singletonOrThrow();
        boolean training = JniUtils.isGradMode();
        Value value = value(labels, logits, training);
        return training
                ? LogitsGradient.surrogate(logits, value.gradient(), value.loss())
                : logits.getManager().create((float) value.loss());
    }
}
