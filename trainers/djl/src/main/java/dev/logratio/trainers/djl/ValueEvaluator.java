package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.training.evaluator.Evaluator;

import java.util.HashMap;
import java.util.Map;

/** Shows a value of a loss: the mean over batches, NaN of none, as DJL shows losses. */
final class ValueEvaluator extends Evaluator {
    private final ExternalLoss loss;
    private final Map<String, Double> sums = new HashMap<>();

    ValueEvaluator(String name, ExternalLoss loss) {
        super(name);
        this.loss = loss;
    }

    private double value(NDList labels, NDList predictions) {
        Map<String, Double> values = loss.valuesOf(labels, predictions);
        Double value = values.get(getName());
        if (value == null) {
            throw new IllegalArgumentException(
                    "evaluator is "
                            + getName()
                            + ", a value that "
                            + loss.getName()
                            + " did not measure; expected one of "
                            + String.join(", ", values.keySet()));
        }
        return value;
    }

    @Override
    public NDArray evaluate(NDList labels, NDList predictions) {
        return predictions.head().getManager().create((float) value(labels, predictions));
    }

    @Override
    public void addAccumulator(String key) {
        resetAccumulator(key);
    }

    @Override
    public void updateAccumulator(String key, NDList labels, NDList predictions) {
        double value = value(labels, predictions);
        sums.merge(key, value, Double::sum);
        totalInstances.merge(key, 1L, Long::sum);
    }

    @Override
    public void resetAccumulator(String key) {
        sums.put(key, 0.0);
        totalInstances.put(key, 0L);
    }

    @Override
    public float getAccumulator(String key) {
        Double sum = sums.get(key);
        if (sum == null) {
            throw new IllegalArgumentException(
                    "accumulator is " + key + "; expected one of " + sums.keySet());
        }
        return (float) (sum / totalInstances.get(key));
    }
}
