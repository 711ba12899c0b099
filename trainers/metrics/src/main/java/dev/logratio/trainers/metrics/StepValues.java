package dev.logratio.trainers.metrics;

import dev.logratio.StepMetrics;
import dev.logratio.UnpairedStepMetrics;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * The metrics of a step under the names that TRL 1.13's DPO and KTO trainers log, with their
 * meaning: {@code loss}, {@code rewards/chosen}, {@code rewards/rejected}, {@code
 * rewards/accuracies}, {@code rewards/margins}, {@code logps/chosen}, {@code logps/rejected},
 * {@code logits/chosen}, {@code logits/rejected}, {@code entropy} and {@code mean_token_accuracy}.
 *
 * <p>Two mean something of this library's own. {@code grad_norm} is the norm of the logits'
 * gradient; a trainer that logs the norm of its parameters' gradient by this name, as TRL does,
 * puts that in its place. {@code nonfinite} counts the infinite and NaN values in losses and
 * gradient.
 *
 * <p>Maps are new ones in a fixed order; a trainer adds its learning rate, KTO's {@code kl} and the
 * like to them.
 *
 * @since 0.1.0
 */
public final class StepValues {
    private static final String EVALUATION = "eval_";

    private StepValues() {}

    /**
     * Names the metrics of a step on pairs.
     *
     * @param metrics of a {@link dev.logratio.PreferenceStep}
     * @return values by name, without {@code logps/chosen} and {@code logps/rejected}
     * @throws NullPointerException if the metrics are null; the message names them
     */
    public static Map<String, Double> of(StepMetrics metrics) {
        Objects.requireNonNull(metrics, "metrics");
        Map<String, Double> values = new LinkedHashMap<>();
        values.put("loss", metrics.loss());
        values.put("rewards/chosen", metrics.rewardsChosen());
        values.put("rewards/rejected", metrics.rewardsRejected());
        values.put("rewards/accuracies", metrics.rewardsAccuracy());
        values.put("rewards/margins", metrics.rewardsMargin());
        values.put("logits/chosen", metrics.logitsChosen());
        values.put("logits/rejected", metrics.logitsRejected());
        values.put("entropy", metrics.entropy());
        values.put("mean_token_accuracy", metrics.tokenAccuracy());
        values.put("grad_norm", metrics.gradNorm());
        values.put("nonfinite", (double) metrics.nonfinite());
        return values;
    }

    /**
     * Names the metrics of a step on pairs, with the mean log-probs of both sides.
     *
     * @param metrics of a {@link dev.logratio.PreferenceStep}
     * @param logps [2P], the {@linkplain dev.logratio.PreferenceStep#logps log-probs} of its
     *     sequences, chosen ones first; their means are 0 where P is 0
     * @return values by name
     * @throws IllegalArgumentException if the number of log-probs is odd
     * @throws NullPointerException if an argument is null; the message names it
     */
    public static Map<String, Double> of(StepMetrics metrics, double[] logps) {
        Map<String, Double> values = of(metrics);
        int sequences = Objects.requireNonNull(logps, "logps").length;
        if (sequences % 2 != 0) {
            throw new IllegalArgumentException(
                    "logps hold "
                            + sequences
                            + " values; expected those of the chosen sequences and as many of the"
                            + " rejected ones");
        }
        Mean chosen = new Mean();
        Mean rejected = new Mean();
        for (int i = 0; i < sequences; i++) {
            (i < sequences / 2 ? chosen : rejected).add(logps[i]);
        }
        values.put("logps/chosen", chosen.get());
        values.put("logps/rejected", rejected.get());
        return values;
    }

    /**
     * Names the metrics of a step on single examples. Like TRL, it leaves out a side's values where
     * the batch has no example of it, and the margin where it lacks either.
     *
     * @param metrics of an {@link dev.logratio.UnpairedStep}
     * @param logps [B], the {@linkplain dev.logratio.UnpairedStep#logps log-probs} of its sequences
     * @param chosen [B], whether each is a chosen one
     * @return values by name
     * @throws IllegalArgumentException if the arrays differ in length
     * @throws NullPointerException if an argument is null; the message names it
     */
    public static Map<String, Double> of(
            UnpairedStepMetrics metrics, double[] logps, boolean[] chosen) {
        Objects.requireNonNull(metrics, "metrics");
        Objects.requireNonNull(logps, "logps");
        if (logps.length != Objects.requireNonNull(chosen, "chosen").length) {
            throw new IllegalArgumentException(
                    "logps hold "
                            + logps.length
                            + " values; expected "
                            + chosen.length
                            + ", one for each of chosen");
        }
        Mean ofChosen = new Mean();
        Mean ofRejected = new Mean();
        for (int i = 0; i < logps.length; i++) {
            (chosen[i] ? ofChosen : ofRejected).add(logps[i]);
        }
        Map<String, Double> values = new LinkedHashMap<>();
        values.put("loss", metrics.loss());
        if (ofChosen.count > 0) {
            values.put("rewards/chosen", metrics.rewardsChosen());
            values.put("logps/chosen", ofChosen.get());
            values.put("logits/chosen", metrics.logitsChosen());
            values.put("mean_token_accuracy", metrics.tokenAccuracy());
        }
        if (ofRejected.count > 0) {
            values.put("rewards/rejected", metrics.rewardsRejected());
            values.put("logps/rejected", ofRejected.get());
            values.put("logits/rejected", metrics.logitsRejected());
        }
        if (ofChosen.count > 0 && ofRejected.count > 0) {
            values.put("rewards/margins", metrics.rewardsMargin());
        }
        values.put("entropy", metrics.entropy());
        values.put("grad_norm", metrics.gradNorm());
        values.put("nonfinite", (double) metrics.nonfinite());
        return values;
    }

    /**
     * Names the values as those of an evaluation: {@code loss} becomes {@code eval_loss}.
     *
     * @param values by name
     * @return the same values by their names with {@code eval_} before them
     * @throws NullPointerException if the values are null; the message names them
     */
    public static Map<String, Double> ofEvaluation(Map<String, Double> values) {
        Map<String, Double> named = new LinkedHashMap<>();
        Objects.requireNonNull(values, "values")
                .forEach((name, value) -> named.put(EVALUATION + name, value));
        return named;
    }

    /** The tag of transformers' TensorBoard callback: {@code train/loss} or {@code eval/loss}. */
    static String tag(String name) {
        return name.startsWith(EVALUATION)
                ? "eval/" + name.substring(EVALUATION.length())
                : "train/" + name;
    }
}
