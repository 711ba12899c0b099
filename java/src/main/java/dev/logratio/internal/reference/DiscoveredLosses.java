package dev.logratio.internal.reference;

import static dev.logratio.internal.Functions.bell;
import static dev.logratio.internal.Functions.hinge;
import static dev.logratio.internal.Functions.logistic;
import static dev.logratio.internal.Functions.mean;
import static dev.logratio.internal.Functions.product;
import static dev.logratio.internal.Functions.share;
import static dev.logratio.internal.Functions.softplus;
import static dev.logratio.internal.Functions.square;

import dev.logratio.loss.Aqfl;
import dev.logratio.loss.Aql;
import dev.logratio.loss.Cell;
import dev.logratio.loss.Dbaql;
import dev.logratio.loss.DiscoveredVariant;
import dev.logratio.loss.Padll;
import dev.logratio.loss.Pfl;

import java.util.Arrays;

/**
 * The losses discovered beside DiscoPOP, of {@code y = beta * D}. Statistics of the batch are of
 * {@code x}, a multiple of D, and carry gradient: what they receive from every pair is summed
 * first, then handed to every x.
 */
final class DiscoveredLosses {
    private DiscoveredLosses() {}

    /** The multiples of D that x is: beta / tau, or 1. */
    private static final class Scale {
        private final boolean isOne;
        private final Pairs pairs;

        Scale(boolean isOne, Pairs pairs) {
            this.isOne = isOne;
            this.pairs = pairs;
        }

        double at(int i) {
            return isOne ? 1 : pairs.beta(i) / pairs.tau(i);
        }

        double[] times(double[] margins) {
            double[] x = new double[margins.length];
            Arrays.setAll(x, i -> at(i) * margins[i]);
            return x;
        }

        /** Adds to the derivatives by beta and tau what x hands back. */
        void addParameters(int i, double margin, double ofX, PairGradients out) {
            if (!isOne) {
                double ofScale = product(margin, ofX);
                out.beta[i] += ofScale / pairs.tau(i);
                out.tau[i] -= ofScale * pairs.beta(i) / square(pairs.tau(i));
            }
        }
    }

    static void evaluate(Dbaql loss, Pairs pairs, double[] upstream, PairGradients out) {
        double temperature = .9;
        double[] margin = margins(pairs);
        Scale scale = new Scale(loss.variant() == DiscoveredVariant.OLD, pairs);
        double[] x = scale.times(margin);
        double variance = variance(x);
        double weight = logistic(variance);
        double ofVariance = 0;
        double[] slope = new double[margin.length];
        for (int i = 0; i < margin.length; i++) {
            double y = pairs.beta(i) * margin[i];
            double penalty = softplus(-y / temperature);
            double exponential =
                    Math.exp(
                            -temperature * y
                                    - softplus(variance)); // (1 - weight) exp(-temperature y)
            out.losses[i] = product(weight, penalty) + exponential;
            double ofY =
                    -weight / temperature * logistic(-y / temperature) - temperature * exponential;
            slope[i] = product(upstream[i], pairs.beta(i) * ofY);
            out.beta[i] = product(upstream[i], product(margin[i], ofY));
            double ofWeight = product(logistic(-variance), penalty) - exponential;
            ofVariance += share(upstream[i], weight * ofWeight);
        }
        for (int j = 0; j < x.length; j++) {
            double ofX = product(ofVariance, 2 * (x[j] - mean(x)) / (x.length - 1));
            slope[j] += ofX * scale.at(j);
            scale.addParameters(j, margin[j], ofX, out);
        }
        addMargins(slope, out);
    }

    static void evaluate(Aql loss, Pairs pairs, double[] upstream, PairGradients out) {
        double prior = .5;
        double weight = .01;
        double[] margin = margins(pairs);
        boolean repo = loss.variant() == DiscoveredVariant.REPO;
        Scale scale = new Scale(!repo, pairs);
        double[] x = scale.times(margin);
        double quantile = prior + weight * (logistic(mean(x)) - prior);
        double ofQuantile = 0;
        double[] slope = new double[margin.length];
        for (int i = 0; i < margin.length; i++) {
            double sharpness = repo ? 1 : pairs.beta(i);
            Blend blend = new Blend(pairs.beta(i) * margin[i], sharpness * (quantile - x[i]));
            out.losses[i] = blend.value;
            double ofX = -sharpness * blend.ofGate;
            slope[i] = product(upstream[i], pairs.beta(i) * blend.ofY + scale.at(i) * ofX);
            double ofSharpness = repo ? 0 : product(quantile - x[i], blend.ofGate);
            out.beta[i] = product(upstream[i], product(margin[i], blend.ofY) + ofSharpness);
            scale.addParameters(i, margin[i], product(upstream[i], ofX), out);
            ofQuantile -= share(upstream[i], ofX);
        }
        for (int j = 0; j < x.length; j++) {
            double ofX = ofQuantile * weight * bell(mean(x)) / x.length;
            slope[j] += ofX * scale.at(j);
            scale.addParameters(j, margin[j], ofX, out);
        }
        addMargins(slope, out);
    }

    static void evaluate(Aqfl loss, Pairs pairs, double[] upstream, PairGradients out) {
        double sharpness = .1;
        double update = .05;
        int count = pairs.size();
        double[] margin = margins(pairs);
        Scale scale = new Scale(loss.variant() == DiscoveredVariant.OLD, pairs);
        double[] x = scale.times(margin);
        double variance = variance(x);
        boolean paper = loss.variant() == DiscoveredVariant.PAPER;
        double spread = paper ? variance : Math.sqrt(variance);
        double wrong = mean(Arrays.stream(x).map(value -> logistic(-value)).toArray());
        double moment = spread * wrong;
        // The paper adds what others mix in, and takes it at another place.
        double kept = paper ? 1 : 1 - update;
        double pulled = paper ? mean(x) - moment : mean(x);
        double anchor = kept * moment + update * logistic(pulled);
        double ofAnchor = 0;
        double[] slope = new double[count];
        for (int i = 0; i < count; i++) {
            Blend blend = new Blend(pairs.beta(i) * margin[i], sharpness * Math.abs(x[i] - anchor));
            out.losses[i] = blend.value;
            double ofX = sharpness * Math.signum(x[i] - anchor) * blend.ofGate;
            slope[i] = product(upstream[i], pairs.beta(i) * blend.ofY + scale.at(i) * ofX);
            out.beta[i] = product(upstream[i], product(margin[i], blend.ofY));
            scale.addParameters(i, margin[i], product(upstream[i], ofX), out);
            ofAnchor -= share(upstream[i], ofX);
        }
        for (int j = 0; j < count; j++) {
            double deviation = (x[j] - mean(x)) / (count - 1);
            double spreadOfX = paper ? 2 * deviation : spread == 0 ? 0 : deviation / spread;
            double momentOfX = spreadOfX * wrong - spread * bell(x[j]) / count;
            double pulledOfX = 1.0 / count - (paper ? momentOfX : 0);
            double anchorOfX = kept * momentOfX + update * bell(pulled) * pulledOfX;
            slope[j] += ofAnchor * anchorOfX * scale.at(j);
            scale.addParameters(j, margin[j], ofAnchor * anchorOfX, out);
        }
        addMargins(slope, out);
    }

    /** {@code q softplus(-y) + (1-q) max(0, 1-y)} with q the logistic of a gate's argument. */
    private static final class Blend {
        final double value;
        final double ofY;
        final double ofGate;

        Blend(double y, double gate) {
            double soft = softplus(-y);
            double hard = hinge(y).value();
            value = product(logistic(gate), soft) + product(logistic(-gate), hard);
            ofY = -logistic(gate) * logistic(-y) + logistic(-gate) * hinge(y).slope();
            // Both are infinite at minus infinity; their difference is log(1 + exp(y)) - 1.
            double gap = y == Double.NEGATIVE_INFINITY ? -1 : soft - hard;
            ofGate = product(bell(gate), gap);
        }
    }

    static void evaluate(Padll loss, Pairs pairs, double[] upstream, PairGradients out) {
        double[] margin = margins(pairs);
        double[] slope = new double[margin.length];
        for (int i = 0; i < margin.length; i++) {
            double factor = margin[i] < 0 ? .45 : .9;
            double y = pairs.beta(i) * margin[i];
            out.losses[i] = factor * softplus(-y);
            slope[i] = product(upstream[i], -factor * pairs.beta(i) * logistic(-y));
            out.beta[i] = product(upstream[i], -factor * product(margin[i], logistic(-y)));
        }
        addMargins(slope, out);
    }

    static void evaluate(Cell loss, Pairs pairs, double[] upstream, PairGradients out) {
        double[] margin = margins(pairs);
        double[] slope = new double[margin.length];
        for (int i = 0; i < margin.length; i++) {
            double y = pairs.beta(i) * margin[i];
            double ofY = -(Math.exp(-y) + logistic(-y)) / 2;
            out.losses[i] = (Math.exp(-y) + softplus(-y)) / 2;
            slope[i] = product(upstream[i], pairs.beta(i) * ofY);
            out.beta[i] = product(upstream[i], product(margin[i], ofY));
        }
        addMargins(slope, out);
    }

    /** The branch is chosen by the policy alone, not by the margin. */
    static void evaluate(Pfl loss, Pairs pairs, double[] upstream, PairGradients out) {
        double[] margin = margins(pairs);
        double[] slope = new double[margin.length];
        for (int i = 0; i < margin.length; i++) {
            double beta = pairs.beta(i);
            double tau = pairs.tau(i);
            double scale =
                    switch (loss.variant()) {
                        case REPO -> beta;
                        case OLD -> 1;
                        case PAPER -> beta / tau;
                    };
            double y = scale * margin[i];
            boolean preferred = pairs.policyChosen()[i] > pairs.policyRejected()[i];
            out.losses[i] = preferred ? softplus(-y) / 2 : 2 * hinge(y).value();
            double ofY = preferred ? -logistic(-y) / 2 : 2 * hinge(y).slope();
            slope[i] = product(upstream[i], scale * ofY);
            double ofScale = product(upstream[i], product(margin[i], ofY));
            switch (loss.variant()) {
                case REPO -> out.beta[i] = ofScale;
                case OLD -> {} // neither has a part in it
                case PAPER -> {
                    out.beta[i] = ofScale / tau;
                    out.tau[i] = -ofScale * beta / square(tau);
                }
            }
        }
        addMargins(slope, out);
    }

    private static double[] margins(Pairs pairs) {
        return Pairs.differences(pairs.chosenRatios(), pairs.rejectedRatios());
    }

    /** Unbiased, in two passes. */
    private static double variance(double[] values) {
        double mean = mean(values);
        return Arrays.stream(values).map(value -> square(value - mean)).sum() / (values.length - 1);
    }

    private static void addMargins(double[] slope, PairGradients out) {
        for (int i = 0; i < slope.length; i++) {
            out.addRatios(i, slope[i], -slope[i]);
        }
    }
}
