package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.pytorch.jni.JniUtils;
import ai.djl.training.evaluator.Evaluator;
import ai.djl.training.loss.Loss;

import java.lang.ref.WeakReference;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A DJL loss whose value and gradient come from this library. It tells what its last call measured,
 * for {@link StepMetricsListener} and {@link #evaluator}.
 *
 * <p>Arrays must lie in the CPU's memory, since DJL hands out no device pointers. An instance
 * belongs to one thread at a time.
 *
 * @since 0.1.0
 */
public abstract sealed class ExternalLoss extends Loss
        permits DivergenceLoss, LongShortLoss, PreferenceLoss, ScoringRuleLoss, TokenLogprobLoss {
    private static final double NANOSECONDS = 1e9;

    private Call last = Call.NONE;
    private Call lastTraining = Call.NONE;
    private long nanoseconds;

    ExternalLoss(String name) {
        super(name);
    }

    /** A loss, and its gradients with respect to the predictions; null where none is wanted. */
    record Value(double loss, List<NDArray> gradients) {
        static Value of(double loss, NDArray... gradients) {
            return new Value(loss, Collections.unmodifiableList(Arrays.asList(gradients)));
        }
    }

    /** What a call measured, and the array by which one knows it again. */
    private record Call(WeakReference<NDArray> logits, Map<String, Double> values) {
        static final Call NONE = new Call(new WeakReference<>(null), Map.of());

        boolean isOf(NDArray array) {
            return logits.refersTo(array);
        }
    }

    /**
     * Computes, and calls {@link #measured}.
     *
     * @param predictions one array or more
     */
    abstract Value value(NDList labels, NDList predictions, boolean wantGradient);

    /** Keeps what a call measured that began at {@code start}, in System.nanoTime's nanoseconds. */
    final void measured(
            NDArray logits, boolean withGradient, Map<String, Double> values, long start) {
        nanoseconds += System.nanoTime() - start;
        Map<String, Double> kept = new LinkedHashMap<>(values);
        if (!withGradient) {
            kept.remove("grad_norm");
        }
        last = new Call(new WeakReference<>(logits), Collections.unmodifiableMap(kept));
        if (withGradient) {
            lastTraining = last;
        }
    }

    /**
     * Computes the loss of the arrays as they are now. Within a gradient collector the result
     * carries the gradient too.
     *
     * <p>No result is kept for a later call: arrays and options may change in between, and to find
     * out whether they did would take as long as the loss. DJL's trainer evaluates a batch a second
     * time, after its collector has closed, for its metrics; that call costs another read of the
     * logits and gives the same bits. A training loop on the {@code step} of a loss does without
     * it.
     *
     * @param labels see the class
     * @param predictions see the class; one array, the logits, unless it says otherwise
     * @return FLOAT32, no dimensions
     * @throws IllegalArgumentException if an array is wrong; the message names it
     * @throws NullPointerException if a list is null; the message names it
     */
    @Override
    public final NDArray evaluate(NDList labels, NDList predictions) {
        Objects.requireNonNull(labels, "labels");
        Objects.requireNonNull(predictions, "predictions");
        boolean training = JniUtils.isGradMode();
        Value value = value(labels, predictions, training);
        if (!training) {
            return predictions.head().getManager().create((float) value.loss());
        }
        long start = System.nanoTime();
        NDArray surrogate = surrogate(predictions, value);
        nanoseconds += System.nanoTime() - start;
        return surrogate;
    }

    private static NDArray surrogate(NDList predictions, Value value) {
        NDArray sum = null;
        for (int i = 0; i < predictions.size(); i++) {
            NDArray gradient = value.gradients().get(i);
            if (gradient == null) {
                continue;
            }
            NDArray prediction = predictions.get(i);
            sum =
                    sum == null
                            ? LogitsGradient.surrogate(prediction, gradient, value.loss())
                            : sum.add(LogitsGradient.surrogate(prediction, gradient, 0));
        }
        return sum;
    }

    static NDArray onlyLogits(NDList predictions) {
        if (predictions.size() != 1) {
            throw new IllegalArgumentException(
                    "predictions hold " + predictions.size() + " arrays; expected one, the logits");
        }
        return predictions.singletonOrThrow();
    }

    /**
     * Returns what the last call measured, under TRL's names ({@link
     * dev.logratio.trainers.metrics.StepValues}). {@code grad_norm} is among them where that call
     * computed a gradient.
     *
     * @return by name, unmodifiable; empty before the first call
     */
    public final Map<String, Double> values() {
        return last.values();
    }

    /** What the last call that computed a gradient measured. */
    final Map<String, Double> trainingValues() {
        return lastTraining.values();
    }

    /** What a call on these arrays measured; evaluates them where it was not one of the last. */
    final Map<String, Double> valuesOf(NDList labels, NDList predictions) {
        NDArray logits = predictions.head();
        if (lastTraining.isOf(logits)) {
            return lastTraining.values();
        }
        if (!last.isOf(logits)) {
            value(labels, predictions, false);
        }
        return last.values();
    }

    /**
     * Returns the time that all calls so far took, the making of the surrogate included. Autograd's
     * pass through the surrogate is not in it.
     *
     * @return in seconds
     */
    public final double seconds() {
        return nanoseconds / NANOSECONDS;
    }

    /**
     * Makes an evaluator that shows one of this loss's values, {@code
     * config.addEvaluator(loss.evaluator("rewards/accuracies"))}: the mean over batches. DJL's
     * progress bar has room for two evaluators, of which those of the configuration come before the
     * loss.
     *
     * <p>The value is that which the loss measured on the very same array of predictions; where the
     * loss has not seen it, as in a validation batch, the evaluator calls it, which costs a read of
     * the logits.
     *
     * @param name one of the names of {@link #values}
     * @return the evaluator, of the same name
     * @throws NullPointerException if the name is null; the message names it
     */
    public final Evaluator evaluator(String name) {
        return new ValueEvaluator(Objects.requireNonNull(name, "name"), this);
    }
}
