package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.load;
import static dev.logratio.internal.reference.Numbers.loadLong;
import static dev.logratio.internal.reference.Numbers.rowStarts;
import static dev.logratio.internal.reference.Numbers.store;
import static dev.logratio.internal.reference.Numbers.storeRow;

import dev.logratio.ScoringRuleOptions;
import dev.logratio.ScoringRuleOptions.Normalisation;
import dev.logratio.internal.Functions;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.ScoringRuleOperand;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.Arrays;

/**
 * Scoring rules in float64. The loss is a function of the log-probabilities, each taken as free;
 * its derivatives then go through the log-softmax.
 */
final class ScoringRule {
    private final ScoringRuleOptions options;
    private final double[] logP;
    private final double[] weight; // of each column's score: the smoothed label
    private double value;
    private final double[] slope; // d loss / d logP

    private ScoringRule(ScoringRuleOptions options, double[] logits, int label) {
        this.options = options;
        logP = logSoftmax(logits);
        slope = new double[logP.length];
        weight = new double[logP.length];
        Arrays.fill(weight, options.epsilon() / logP.length);
        weight[label] += 1 - options.epsilon();
        switch (options.rule()) {
            case LOG -> log();
            case BRIER -> power(2, 1);
            case SPHERICAL -> pseudoSpherical(2, 1);
            case POWER -> power(options.alpha(), scale(options.alpha() * (options.alpha() - 1)));
            case PSEUDO_SPHERICAL -> pseudoSpherical(options.alpha(), scale(options.alpha() - 1));
        }
        if (options.maskedLog()) {
            maskedLog();
        }
    }

    static void run(Call call) {
        ScoringRuleOptions options = call.option(ScoringRuleOptions.class);
        StridedTensor logits = call.get(ScoringRuleOperand.LOGITS);
        StridedTensor labels = call.get(ScoringRuleOperand.LABELS);
        StridedTensor target = call.get(ScoringRuleOperand.GRAD_LOGITS);
        StridedTensor starts = rowStarts(logits);
        int columns = Math.toIntExact(call.size('V'));
        int vocab = Math.toIntExact(ScoringRuleOperand.vocab(call));
        long rows = labels.elementCount();
        long counted = 0;
        for (long n = 0; n < rows; n++) {
            counted += loadLong(labels, n) == options.ignoreIndex() ? 0 : 1;
        }
        double sum = 0;
        for (long n = 0; n < rows; n++) {
            long label = loadLong(labels, n);
            double[] gradient = new double[columns];
            double value = 0;
            if (label != options.ignoreIndex()) {
                double[] ofRow = new double[vocab];
                for (int k = 0; k < vocab; k++) {
                    ofRow[k] = logits.loadDouble(starts.offsetOf(n) + k);
                }
                ScoringRule row = new ScoringRule(options, ofRow, (int) label);
                double upstream = load(call.get(ScoringRuleOperand.GRAD_LOSS), n, 1.0 / counted);
                value = row.value;
                System.arraycopy(row.gradient(upstream), 0, gradient, 0, vocab);
            }
            sum += value;
            store(call.get(ScoringRuleOperand.VALUES), n, value);
            if (target != null) {
                storeRow(target, rowStarts(target).offsetOf(n), gradient);
            }
        }
        store(call.get(ScoringRuleOperand.LOSS), 0, counted == 0 ? 0 : sum / counted);
    }

    private static double[] logSoftmax(double[] logits) {
        double largest = Arrays.stream(logits).max().orElseThrow();
        double logSum = Functions.logSumAboutLargest(logits, 1);
        return Arrays.stream(logits)
                .map(logit -> Double.isNaN(logSum) ? Double.NaN : logit - largest - logSum)
                .toArray();
    }

    /** What Selten's form is divided by in Jose, Nau and Winkler's. */
    private double scale(double seltenOverJnw) {
        return options.normalisation() == Normalisation.JNW ? seltenOverJnw : 1;
    }

    private void log() {
        for (int k = 0; k < logP.length; k++) {
            value -= weight[k] == 0 ? 0 : weight[k] * logP[k];
            slope[k] = -weight[k];
        }
    }

    private void power(double alpha, double divisor) {
        double logPowerSum = logPowerSum(alpha);
        boolean jnw = options.normalisation() == Normalisation.JNW;
        value = jnw ? Math.expm1(logPowerSum) / alpha : (alpha - 1) * Math.exp(logPowerSum);
        for (int k = 0; k < logP.length; k++) {
            double powerLess = Math.exp((alpha - 1) * logP[k]);
            value -=
                    weight[k]
                            * (jnw
                                    ? Math.expm1((alpha - 1) * logP[k]) / (alpha - 1)
                                    : alpha * powerLess);
            slope[k] = alpha * (alpha - 1) * powerLess * lessWeight(logP[k], 1, k, 1) / divisor;
        }
    }

    private void pseudoSpherical(double alpha, double divisor) {
        double largest = Arrays.stream(logP).max().orElseThrow();
        double logPowerSum = logPowerSum(alpha);
        double logSum = Functions.logSumAboutLargest(logP, alpha);
        double mean = 0;
        double[] score = new double[logP.length];
        for (int k = 0; k < logP.length; k++) {
            double exponent = (alpha - 1) * (logP[k] - logPowerSum / alpha);
            score[k] = Math.exp(exponent);
            mean += weight[k] * score[k];
            value -=
                    weight[k]
                            * (options.normalisation() == Normalisation.JNW
                                    ? Math.expm1(exponent) / (alpha - 1)
                                    : score[k]);
        }
        for (int k = 0; k < logP.length; k++) {
            double logShare = alpha * (logP[k] - largest) - logSum;
            slope[k] = (alpha - 1) * lessWeight(logShare, mean, k, score[k]) / divisor;
        }
    }

    /** {@code exp(log) * mean - weight[k] * score}, where both may be next to each other. */
    private double lessWeight(double log, double mean, int k, double score) {
        double product = weight[k] * score;
        return product > mean / 2
                ? Math.expm1(log) * mean + (mean - product)
                : Math.exp(log) * mean - product;
    }

    private void maskedLog() {
        double share = options.epsilon() / logP.length;
        for (int k = 0; k < logP.length; k++) {
            if (Math.exp(logP[k]) < share) { // constant as a condition
                value -= share * logP[k];
                slope[k] -= share;
            }
        }
    }

    /** log of the sum of p^alpha. */
    private double logPowerSum(double alpha) {
        return alpha * Arrays.stream(logP).max().orElseThrow()
                + Functions.logSumAboutLargest(logP, alpha);
    }

    private double[] gradient(double upstream) {
        double sum = 0;
        int top = 0;
        for (int k = 0; k < logP.length; k++) {
            sum += slope[k];
            top = logP[k] > logP[top] ? k : top;
        }
        double sumOfOthers = 0; // by itself: beside the slope of a certain label it would be lost
        for (int k = 0; k < logP.length; k++) {
            sumOfOthers += k == top ? 0 : slope[k];
        }
        double[] gradient = new double[logP.length];
        for (int k = 0; k < logP.length; k++) {
            if (logP[k] != Double.NEGATIVE_INFINITY && upstream != 0) {
                double p = Math.exp(logP[k]);
                gradient[k] =
                        upstream
                                * (k == top
                                        ? -slope[k] * Math.expm1(logP[k]) - p * sumOfOthers
                                        : slope[k] - p * sum);
            }
        }
        return gradient;
    }
}
