package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.load;

import dev.logratio.DivergenceOptions;
import dev.logratio.DivergenceOptions.Reduction;
import dev.logratio.internal.Functions;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.DivergenceOperand;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.Arrays;

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

    static void run(Call call) {
        DivergenceOptions options = call.option(DivergenceOptions.class);
        StridedTensor pLogits = call.get(DivergenceOperand.P_LOGITS);
        StridedTensor qLogits = call.get(DivergenceOperand.Q_LOGITS);
        StridedTensor qWeights = call.get(DivergenceOperand.Q_WEIGHTS);
        StridedTensor rowWeights = call.get(DivergenceOperand.ROW_WEIGHTS);
        StridedTensor gradP = call.get(DivergenceOperand.GRAD_P_LOGITS);
        StridedTensor gradQ = call.get(DivergenceOperand.GRAD_Q_LOGITS);
        long pairs = call.size('K');
        double total = 0;
        for (long k = 0; k < pairs; k++) {
            total += load(rowWeights, k, 1);
        }
        double divisor = options.reduction() == Reduction.SUM || total == 0 ? 1 : total;
        double upstream = load(call.get(DivergenceOperand.GRAD_LOSS), 0, 1);
        double loss = 0;
        boolean[] taken = new boolean[Math.toIntExact(call.size('N'))];
        boolean[] takenQ = new boolean[Math.toIntExact(call.size('M'))];
        for (long k = 0; k < pairs; k++) {
            int rowP = row(call.get(DivergenceOperand.P_ROWS), k);
            int rowQ = row(call.get(DivergenceOperand.Q_ROWS), k);
            taken[rowP] = true;
            takenQ[rowQ] = true;
            double[] logP = logSoftmax(values(pLogits, rowP), options.temperature());
            double[] logQ =
                    qWeights == null
                            ? logSoftmax(values(qLogits, rowQ), options.temperature())
                            : logWeights(values(qWeights, rowQ));
            Divergence pair = new Divergence(options, logP, logQ);
            double weight = load(rowWeights, k, 1) / divisor;
            loss += weight == 0 ? 0 : weight * pair.value;
            Numbers.store(call.get(DivergenceOperand.VALUES), k, pair.value);
            store(gradP, rowP, pair.gradP, upstream * weight / options.temperature());
            store(gradQ, rowQ, pair.gradQ, upstream * weight / options.temperature());
        }
        Numbers.store(call.get(DivergenceOperand.LOSS), 0, loss);
        clearOthers(gradP, taken);
        clearOthers(gradQ, takenQ);
    }

    private static int row(StridedTensor rows, long k) {
        return Math.toIntExact(rows == null ? k : rows.loadLong(rows.offsetOf(k)));
    }

    private static double[] values(StridedTensor tensor, int row) {
        double[] values = new double[Math.toIntExact(tensor.size(1))];
        long start = tensor.select(1, 0).offsetOf(row);
        for (int k = 0; k < values.length; k++) {
            values[k] = tensor.loadDouble(start + k);
        }
        return values;
    }

    private static void store(StridedTensor gradient, int row, double[] values, double upstream) {
        if (gradient != null) {
            double[] scaled =
                    Arrays.stream(values).map(g -> upstream == 0 ? 0 : upstream * g).toArray();
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
                addHalfKlToMixture(logP, p, logQ, gradP);
                addHalfKlToMixture(logQ, q, logP, gradQ);
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

    private void addHalfKlToMixture(double[] logU, double[] u, double[] logV, double[] gradU) {
        double divergence = 0;
        double[] ratio = new double[columns];
        for (int k = 0; k < columns; k++) {
            if (u[k] > 0) { // then log((u+v)/2) is finite
                double apart = logV[k] - logU[k];
                double logSum =
                        apart > 0
                                ? logV[k] + Math.log1p(Math.exp(-apart))
                                : logU[k] + Math.log1p(Math.exp(apart));
                ratio[k] = logU[k] - (logSum - Math.log(2));
                divergence += u[k] * ratio[k];
            }
        }
        value += .5 * divergence;
        for (int k = 0; k < columns; k++) {
            gradU[k] = .5 * u[k] * (ratio[k] - divergence);
        }
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
