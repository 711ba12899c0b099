package dev.logratio.internal.reference;

import static dev.logratio.internal.check.DivergenceOperand.MOST_MASS;
import static dev.logratio.internal.reference.Numbers.load;

import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.DivergenceOptions.Reduction;
import dev.logratio.internal.Functions;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.DivergenceOperand;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Divergences in float64: each pair of rows as log-probabilities, the definition, and its
 * derivative column by column.
 */
final class Divergence {
    private final DivergenceOptions options;
    private final double[] logP;
    private final double[] logQ;
    private final double[] p;
    private final double[] q;
    private final int columns;
    private double value;
    private final double[] gradP;
    private final double[] gradQ;

    private Divergence(DivergenceOptions options, double[] logP, double[] logQ) {
        this.options = options;
        this.logP = logP;
        this.logQ = logQ;
        columns = logP.length;
        p = Arrays.stream(logP).map(Math::exp).toArray();
        q = Arrays.stream(logQ).map(Math::exp).toArray();
        gradP = new double[columns];
        gradQ = new double[columns];
        evaluate();
    }

    /** To be filled in. */
    private Divergence(int columns) {
        options = DivergenceOptions.DEFAULT;
        logP = logQ = p = q = gradQ = new double[0];
        this.columns = columns;
        gradP = new double[columns];
    }

    static void run(Call call) {
        DivergenceOptions options = call.option(DivergenceOptions.class);
        StridedTensor pLogits = call.get(DivergenceOperand.P_LOGITS);
        StridedTensor qLogits = call.get(DivergenceOperand.Q_LOGITS);
        StridedTensor rowWeights = call.get(DivergenceOperand.ROW_WEIGHTS);
        StridedTensor gradP = call.get(DivergenceOperand.GRAD_P_LOGITS);
        StridedTensor gradQ = call.get(DivergenceOperand.GRAD_Q_LOGITS);
        long pairs = call.size('K');
        int columns = Math.toIntExact(DivergenceOperand.vocab(call));
        double total = 0;
        for (long k = 0; k < pairs; k++) {
            total += load(rowWeights, k, 1);
        }
        double divisor = options.reduction() == Reduction.SUM || total == 0 ? 1 : total;
        double upstream = load(call.get(DivergenceOperand.GRAD_LOSS), 0, 1);
        double loss = 0;
        boolean[] taken = new boolean[Math.toIntExact(call.size('N'))];
        double[] shares = shares(call.get(DivergenceOperand.Q_MODEL_WEIGHTS));
        boolean[] takenQ = new boolean[Math.toIntExact(call.size('M'))];
        for (long k = 0; k < pairs; k++) {
            int rowP = row(call.get(DivergenceOperand.P_ROWS), k);
            int rowQ = row(call.get(DivergenceOperand.Q_ROWS), k);
            taken[rowP] = true;
            takenQ[rowQ] = true;
            double[] logP = logSoftmax(values(pLogits, rowP, columns), options.temperature());
            double weight = load(rowWeights, k, 1) / divisor;
            double slope = upstream * weight / options.temperature();
            double value = 0;
            double[] ofP = new double[columns];
            for (int m = 0; m < shares.length; m++) {
                Divergence pair =
                        call.has(DivergenceOperand.Q_TOPK_IDS)
                                ? ofTopk(call, logP, rowQ)
                                : new Divergence(options, logP, logQ(call, m, rowQ, columns));
                if (qLogits != null) {
                    store(model(gradQ, m), rowQ, pair.gradQ, slope * shares[m]);
                }
                if (shares.length == 1) {
                    value = pair.value;
                    ofP = pair.gradP;
                } else if (shares[m] != 0) {
                    value += shares[m] * pair.value;
                    for (int j = 0; j < columns; j++) {
                        ofP[j] += shares[m] * pair.gradP[j];
                    }
                }
            }
            loss += weight == 0 ? 0 : weight * value;
            Numbers.store(call.get(DivergenceOperand.VALUES), k, value);
            store(gradP, rowP, ofP, slope);
        }
        Numbers.store(call.get(DivergenceOperand.LOSS), 0, loss);
        clearOthers(gradP, taken);
        for (int m = 0; gradQ != null && m < shares.length; m++) {
            clearOthers(model(gradQ, m), takenQ);
        }
    }

    /** The models' weights, divided by their sum. */
    private static double[] shares(StridedTensor weights) {
        if (weights == null) {
            return new double[] {1};
        }
        double[] shares = weights.toDoubles();
        double sum = Arrays.stream(shares).sum();
        return Arrays.stream(shares).map(weight -> weight / sum).toArray();
    }

    /** The rows of one model. */
    private static StridedTensor model(StridedTensor rows, int model) {
        return rows == null || rows.rank() == 2 ? rows : rows.select(0, model);
    }

    private static double[] logQ(Call call, int model, int row, int columns) {
        StridedTensor weights = call.get(DivergenceOperand.Q_WEIGHTS);
        return weights != null
                ? logWeights(values(weights, row, columns))
                : logSoftmax(
                        values(model(call.get(DivergenceOperand.Q_LOGITS), model), row, columns),
                        call.option(DivergenceOptions.class).temperature());
    }

    /** A divergence of the known columns and one outcome more, which is all the others. */
    private static Divergence ofTopk(Call call, double[] logP, int row) {
        DivergenceOptions options = call.option(DivergenceOptions.class);
        StridedTensor ids = call.get(DivergenceOperand.Q_TOPK_IDS);
        StridedTensor logps = call.get(DivergenceOperand.Q_TOPK_LOGPS);
        int known = Math.toIntExact(ids.size(1));
        int[] columnOf = new int[known];
        boolean[] isKnown = new boolean[logP.length];
        double[] outcomesP = new double[known + 1];
        double[] outcomesQ = new double[known + 1];
        double mass = 0;
        for (int j = 0; j < known; j++) {
            columnOf[j] = Math.toIntExact(ids.loadLong(ids.offsetOf((long) row * known + j)));
            isKnown[columnOf[j]] = true;
            outcomesP[j] = logP[columnOf[j]];
            outcomesQ[j] = logps.loadDouble(logps.offsetOf((long) row * known + j));
            mass += Math.exp(outcomesQ[j]);
        }
        boolean nothingLeft = mass >= 1 || known == logP.length && mass >= 2 - MOST_MASS;
        outcomesP[known] = logOfOthers(logP, isKnown);
        outcomesQ[known] = nothingLeft ? Double.NEGATIVE_INFINITY : Math.log1p(-mass);
        Divergence outcomes = new Divergence(options, outcomesP, outcomesQ);
        if (options.divergence() == DivergenceKind.KL_QP) { // q may sum to a little more than 1
            double sum = Arrays.stream(outcomes.q).sum();
            for (int j = 0; j <= known && !Double.isNaN(outcomes.value); j++) {
                boolean isAbsent = outcomesP[j] == Double.NEGATIVE_INFINITY;
                outcomes.gradP[j] = isAbsent ? 0 : outcomes.p[j] * sum - outcomes.q[j];
            }
        }
        Divergence all = new Divergence(logP.length);
        all.value = outcomes.value;
        for (int k = 0; k < logP.length; k++) {
            double share = Math.exp(logP[k] - outcomesP[known]); // of what all others have
            all.gradP[k] =
                    logP[k] == Double.NEGATIVE_INFINITY && !Double.isNaN(outcomes.gradP[known])
                            ? 0
                            : share * outcomes.gradP[known];
        }
        for (int j = 0; j < known; j++) {
            all.gradP[columnOf[j]] = outcomes.gradP[j];
        }
        return all;
    }

    /** The log of the probability of all columns but some, summed from the smallest. */
    private static double logOfOthers(double[] logP, boolean[] isKnown) {
        double[] others =
                IntStream.range(0, logP.length)
                        .filter(k -> !isKnown[k])
                        .mapToDouble(k -> logP[k])
                        .sorted()
                        .toArray();
        if (Double.isNaN(logP[0])) {
            return Double.NaN;
        }
        if (others.length == 0 || others[others.length - 1] == Double.NEGATIVE_INFINITY) {
            return Double.NEGATIVE_INFINITY;
        }
        double held =
                IntStream.range(0, logP.length)
                        .filter(k -> isKnown[k])
                        .mapToDouble(k -> Math.exp(logP[k]))
                        .sum();
        double largest = others[others.length - 1];
        return held < .5
                ? Math.log1p(-held)
                : largest + Math.log(Arrays.stream(others).map(x -> Math.exp(x - largest)).sum());
    }

    private static int row(StridedTensor rows, long k) {
        return Math.toIntExact(rows == null ? k : rows.loadLong(rows.offsetOf(k)));
    }

    private static double[] values(StridedTensor tensor, int row, int columns) {
        double[] values = new double[columns];
        long start = tensor.select(1, 0).offsetOf(row);
        for (int k = 0; k < values.length; k++) {
            values[k] = tensor.loadDouble(start + k);
        }
        return values;
    }

    private static void store(StridedTensor gradient, int row, double[] values, double upstream) {
        if (gradient != null) {
            double[] scaled = new double[Math.toIntExact(gradient.size(1))]; // 0 in the padding
            for (int k = 0; k < values.length; k++) {
                scaled[k] = upstream == 0 ? 0 : upstream * values[k];
            }
            Numbers.storeRow(gradient, gradient.select(1, 0).offsetOf(row), scaled);
        }
    }

    private static void clearOthers(StridedTensor gradient, boolean[] taken) {
        for (int row = 0; gradient != null && row < taken.length; row++) {
            if (!taken[row]) {
                Numbers.storeRow(
                        gradient,
                        gradient.select(1, 0).offsetOf(row),
                        new double[Math.toIntExact(gradient.size(1))]);
            }
        }
    }

    /** All NaN for a row that is all -inf, or holds +inf or NaN. */
    private static double[] logSoftmax(double[] logits, double temperature) {
        double largest = Arrays.stream(logits).max().orElseThrow(); // NaN if there is one
        double logSum = Functions.logSumAboutLargest(logits, 1 / temperature);
        return Arrays.stream(logits)
                .map(
                        logit ->
                                Double.isNaN(logSum)
                                        ? Double.NaN
                                        : (logit - largest) / temperature - logSum)
                .toArray();
    }

    private static double[] logWeights(double[] weights) {
        double largest = Arrays.stream(weights).max().orElseThrow();
        double sum = 0;
        for (double weight : weights) {
            sum += weight / largest;
        }
        double logSum = Math.log(sum);
        return Arrays.stream(weights)
                .map(weight -> Math.log(weight) - Math.log(largest) - logSum)
                .toArray();
    }

    private void evaluate() {
        if (Double.isNaN(logP[0]) || Double.isNaN(logQ[0])) {
            value = Double.NaN;
            Arrays.fill(gradP, Double.NaN);
            Arrays.fill(gradQ, Double.NaN);
            return;
        }
        switch (options.divergence()) {
            case SCE -> {
                addCrossEntropy(options.w1(), logP, p, logQ, q, gradP, gradQ);
                addCrossEntropy(options.w2(), logQ, q, logP, p, gradQ, gradP);
            }
            case JEFFREYS -> {
                addKl(logP, p, logQ, q, gradP, gradQ);
                addKl(logQ, q, logP, p, gradQ, gradP);
            }
            case KL_PQ -> addKl(logP, p, logQ, q, gradP, gradQ);
            case KL_QP -> addKl(logQ, q, logP, p, gradQ, gradP);
            case JS -> {
                addKlToMixture(options.jsWeight(), logP, p, logQ, gradP);
                addKlToMixture(1 - options.jsWeight(), logQ, q, logP, gradQ);
            }
            case L2 -> throughSoftmax(squares());
            case TVD -> throughSoftmax(variation());
            case WASSERSTEIN1 -> throughSoftmax(transport());
            case COSINE -> cosine();
        }
        for (int k = 0; k < columns; k++) { // a logit of -inf has no gradient
            gradP[k] =
                    logP[k] == Double.NEGATIVE_INFINITY && !Double.isNaN(gradP[k]) ? 0 : gradP[k];
            gradQ[k] =
                    logQ[k] == Double.NEGATIVE_INFINITY && !Double.isNaN(gradQ[k]) ? 0 : gradQ[k];
        }
    }

    /** Adds {@code weight * H(u,v)}; both arguments' gradients go through their softmax. */
    private void addCrossEntropy(
            double weight,
            double[] logU,
            double[] u,
            double[] logV,
            double[] v,
            double[] gradU,
            double[] gradV) {
        if (weight == 0) {
            return;
        }
        double entropy = 0;
        for (int k = 0; k < columns; k++) {
            entropy += logU[k] == Double.NEGATIVE_INFINITY ? 0 : term(u[k], -logV[k]);
        }
        value += weight * entropy;
        for (int k = 0; k < columns; k++) {
            gradU[k] +=
                    entropy == Double.POSITIVE_INFINITY
                            ? Double.NaN
                            : u[k] == 0 ? 0 : -weight * u[k] * (logV[k] + entropy);
            gradV[k] += weight * (v[k] - u[k]);
        }
    }

    private void addKl(
            double[] logU, double[] u, double[] logV, double[] v, double[] gradU, double[] gradV) {
        double divergence = 0;
        for (int k = 0; k < columns; k++) {
            divergence += logU[k] == Double.NEGATIVE_INFINITY ? 0 : term(u[k], logU[k] - logV[k]);
        }
        value += divergence;
        for (int k = 0; k < columns; k++) {
            gradU[k] +=
                    divergence == Double.POSITIVE_INFINITY
                            ? Double.NaN
                            : u[k] == 0 ? 0 : u[k] * (logU[k] - logV[k] - divergence);
            gradV[k] += v[k] - u[k];
        }
    }

    /** A finite logit has a probability, however small, and it makes an infinite term infinite. */
    private static double term(double probability, double factor) {
        return factor == Double.POSITIVE_INFINITY ? factor : probability * factor;
    }

    /** Adds {@code weight * KL(u,m)} with {@code m = weight * u + (1 - weight) * v}. */
    private void addKlToMixture(
            double weight, double[] logU, double[] u, double[] logV, double[] gradU) {
        double divergence = 0;
        double[] ratio = new double[columns];
        for (int k = 0; k < columns; k++) {
            if (u[k] > 0) { // then log m is finite
                double logM =
                        weight == .5
                                ? logSum(logU[k], logV[k]) - Math.log(2)
                                : logSum(Math.log(weight) + logU[k], Math.log1p(-weight) + logV[k]);
                ratio[k] = logU[k] - logM;
                divergence += u[k] * ratio[k];
            }
        }
        value += weight * divergence;
        for (int k = 0; k < columns; k++) {
            gradU[k] = weight * u[k] * (ratio[k] - divergence);
        }
    }

    /** The logarithm of a sum, from the logarithms of its terms, not both of which are -inf. */
    static double logSum(double first, double second) {
        double apart = second - first;
        return apart > 0
                ? second + Math.log1p(Math.exp(-apart))
                : first + Math.log1p(Math.exp(apart));
    }

    /** Sets both gradients, given the derivative with respect to p, of a function of p - q. */
    private void throughSoftmax(double[] ofP) {
        double meanP = 0;
        double meanQ = 0;
        for (int k = 0; k < columns; k++) {
            meanP += p[k] * ofP[k];
            meanQ += q[k] * ofP[k];
        }
        for (int k = 0; k < columns; k++) {
            gradP[k] = p[k] * (ofP[k] - meanP);
            gradQ[k] = -q[k] * (ofP[k] - meanQ);
        }
    }

    private double[] squares() {
        double[] slope = new double[columns];
        for (int k = 0; k < columns; k++) {
            value += (p[k] - q[k]) * (p[k] - q[k]);
            slope[k] = 2 * (p[k] - q[k]);
        }
        return slope;
    }

    private double[] variation() {
        double[] slope = new double[columns];
        for (int k = 0; k < columns; k++) {
            value += .5 * Math.abs(p[k] - q[k]);
            slope[k] = .5 * Math.signum(p[k] - q[k]);
        }
        return slope;
    }

    /**
     * The sum over all but the last column of |C|, C the running sum of p - q; moving p_k up moves
     * C from k on.
     */
    private double[] transport() {
        double[] sign = new double[columns];
        double distance = 0;
        for (int k = 0; k < columns - 1; k++) {
            distance += p[k] - q[k];
            value += Math.abs(distance);
            sign[k] = Math.signum(distance);
        }
        double[] slope = new double[columns];
        double after = 0;
        for (int k = columns - 1; k >= 0; k--) {
            after += sign[k];
            slope[k] = after;
        }
        return slope;
    }

    private void cosine() {
        double product = 0;
        double lengthP = 0;
        double lengthQ = 0;
        for (int k = 0; k < columns; k++) {
            product += p[k] * q[k];
            lengthP += p[k] * p[k];
            lengthQ += q[k] * q[k];
        }
        double lengths = Math.sqrt(lengthP) * Math.sqrt(lengthQ);
        double cosine = product / lengths;
        value = 1 - cosine;
        for (int k = 0; k < columns; k++) { // the means of these slopes are 0
            gradP[k] = -p[k] * (q[k] / lengths - cosine * p[k] / lengthP);
            gradQ[k] = -q[k] * (p[k] / lengths - cosine * q[k] / lengthQ);
        }
    }
}
