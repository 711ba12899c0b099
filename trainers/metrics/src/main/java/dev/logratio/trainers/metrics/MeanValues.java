package dev.logratio.trainers.metrics;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * The means of the values of several steps, each over the steps that have it, as TRL logs them: of
 * the batches of an evaluation, or of the steps since the last record. Not thread-safe.
 *
 * @since 0.1.0
 */
public final class MeanValues {
    private final Map<String, Mean> means = new LinkedHashMap<>();

    /** Means of nothing yet. */
    public MeanValues() {}

    /**
     * Adds a step.
     *
     * @param values by name
     * @throws NullPointerException if the values or one of them are null
     */
    public void add(Map<String, Double> values) {
        Objects.requireNonNull(values, "values")
                .forEach((name, value) -> means.computeIfAbsent(name, n -> new Mean()).add(value));
    }

    /**
     * Gives the means and begins anew.
     *
     * @return by name, in the order of their first appearance; empty where nothing was added
     */
    public Map<String, Double> take() {
        Map<String, Double> values = new LinkedHashMap<>();
        means.forEach((name, mean) -> values.put(name, mean.get()));
        means.clear();
        return values;
    }
}
