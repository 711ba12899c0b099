package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.pytorch.jni.JniUtils;
import ai.djl.training.loss.Loss;
import java.util.List;
import java.util.stream.Stream;

/** A DJL loss whose value and gradient come from this library. */
abstract class ExternalLoss extends Loss {
    private List<String> lastArrays = List.of();
    private double lastLoss;

    ExternalLoss(String name) {
        super(name);
    }

    /** A loss, and its gradient with respect to the logits; null if it was not wanted. */
    record Value(double loss, NDArray gradient) {}

    abstract Value value(NDList labels, NDArray logits, boolean wantGradient);

    /**
     * The loss. Within a gradient collector the result carries the gradient too. DJL evaluates a batch a second time, after its
     * collector has closed, to collect its metrics; that call gets the value of the first.
     *
     * @param labels see the class
     * @param predictions one array, the logits
     * @return FLOAT32, no dimensions
     * @throws IllegalArgumentException if an array is wrong; the message names it
     */
    @Override
    public final NDArray evaluate(NDList labels, NDList predictions) {
        if (predictions.size() != 1) {
            throw new IllegalArgumentException("predictions hold " + predictions.size() + " arrays; expected one, the logits");
        }
        NDArray logits = predictions.singletonOrThrow();
        boolean training = JniUtils.isGradMode();
        List<String> arrays = Stream.concat(labels.stream(), predictions.stream()).map(NDArray::getUid).toList();
        if (!training && arrays.equals(lastArrays)) {
            return logits.getManager().create((float) lastLoss);
        }
        Value value = value(labels, logits, training);
        lastArrays = arrays;
        lastLoss = value.loss();
        return training ? LogitsGradient.surrogate(logits, value.gradient(), value.loss()) : logits.getManager().create((float) value.loss());
    }
}
