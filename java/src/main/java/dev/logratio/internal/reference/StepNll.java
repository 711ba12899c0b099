package dev.logratio.internal.reference;

import dev.logratio.internal.Functions;
import dev.logratio.internal.check.StepOptions;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Nll;

/**
 * Negative log-likelihoods of the chosen sequences as terms of a step: sft, and those of losses
 * whose tokens, weights of pairs or divisor the call sets apart.
 */
final class StepNll {
    private final double[][] logps;
    private final double[][] covered;
    private final double[] pairWeights;
    private final double[] wpo;
    private final double tokenCount;

    /** The terms' values of each pair, and their gradients by each chosen token's log-prob. */
    final double[] losses;

    final double[][] gradient;

    /**
     * Terms on the chosen sequences, [P][T].
     *
     * @param covered weights of the tokens that count; others' log-probs are not looked at
     * @param tokenCount what a mean over the batch's tokens is divided by; 0 for their number
     */
    StepNll(
            double[][] logps,
            double[][] covered,
            double[] pairWeights,
            double[] wpo,
            double tokenCount) {
        this.logps = logps;
        this.covered = covered;
        this.pairWeights = pairWeights;
        this.wpo = wpo;
        this.tokenCount = tokenCount;
        losses = new double[pairWeights.length];
        gradient = new double[covered.length][];
        for (int i = 0; i < covered.length; i++) {
            gradient[i] = new double[covered[i].length];
        }
    }

    /** A loss that has a negative log-likelihood as a part, without that part. */
    static PairGradients withoutNll(Loss.ReferenceFree loss, Pairs pairs, double[] upstream) {
        PairGradients out = new PairGradients(pairs.size(), pairs.size());
        ReferenceFreeLosses.evaluateWithoutNll(loss, pairs, upstream, out);
        return out;
    }

    /** The mean over the covered tokens, each of which counts once. */
    void addSft(double weight) {
        double tokens = 0;
        double sum = 0;
        for (int i = 0; i < covered.length; i++) {
            for (int t = 0; t < covered[i].length; t++) {
                if (covered[i][t] > 0) {
                    tokens++;
                    sum += Functions.product(pairWeights[i], -logps[i][t]);
                }
            }
        }
        double divisor = tokenCount > 0 ? tokenCount : tokens;
        for (int i = 0; tokens > 0 && i < covered.length; i++) {
            losses[i] += Functions.product(weight, sum / divisor);
            for (int t = 0; t < covered[i].length; t++) {
                gradient[i][t] -= covered[i][t] > 0 ? weight * pairWeights[i] / divisor : 0;
            }
        }
    }

    /** What a loss has as a part, of the tokens' weights. */
    void addPart(Loss.ReferenceFree loss, double weight) {
        double scale = weight * (loss instanceof Cpo cpo ? cpo.alpha() : 1);
        int pairs = covered.length;
        double[] sums = new double[pairs];
        double[] lengths = new double[pairs];
        for (int i = 0; i < pairs; i++) {
            for (int t = 0; t < covered[i].length; t++) {
                sums[i] -= covered[i][t] > 0 ? covered[i][t] * logps[i][t] : 0;
            }
            lengths[i] = Math.max(Sequence.sum(covered[i]), 1);
        }
        if (StepOptions.nll(loss) == Nll.TOKEN) {
            addTokenMean(scale, sums, lengths);
            return;
        }
        for (int i = 0; i < pairs; i++) {
            double own = scale * wpo[i] * pairWeights[i];
            losses[i] += Functions.product(own, sums[i] / lengths[i]);
            for (int t = 0; t < covered[i].length; t++) {
                gradient[i][t] -= covered[i][t] > 0 ? own / pairs * covered[i][t] / lengths[i] : 0;
            }
        }
    }

    private void addTokenMean(double scale, double[] sums, double[] lengths) {
        double divisor = tokenCount > 0 ? tokenCount : Sequence.sum(lengths);
        double sum = 0;
        for (int i = 0; i < sums.length; i++) {
            sum += Functions.product(pairWeights[i], sums[i]);
        }
        double ofMean = scale * Functions.mean(wpo);
        for (int i = 0; i < sums.length; i++) {
            losses[i] += Functions.product(scale * wpo[i], sum / divisor);
            for (int t = 0; t < covered[i].length; t++) {
                gradient[i][t] -=
                        covered[i][t] > 0 ? ofMean * pairWeights[i] * covered[i][t] / divisor : 0;
            }
        }
    }
}
