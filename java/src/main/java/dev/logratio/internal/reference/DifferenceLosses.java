package dev.logratio.internal.reference;

import static dev.logratio.internal.Functions.bell;
import static dev.logratio.internal.Functions.hinge;
import static dev.logratio.internal.Functions.logistic;
import static dev.logratio.internal.Functions.product;
import static dev.logratio.internal.Functions.smoothed;
import static dev.logratio.internal.Functions.softplus;
import static dev.logratio.internal.Functions.square;

import dev.logratio.internal.Functions.Slope;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.ExoPair;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Guard;
import dev.logratio.loss.Hinge;
import dev.logratio.loss.Ipo;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Robust;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.SigmoidNorm;
import dev.logratio.loss.Variant;

/**
 * Losses of the margin, the difference of the two log-ratios' scores, each a token where the loss
 * divides by length.
 */
final class DifferenceLosses {
    private DifferenceLosses() {}

    /** A pair's parameters, or derivatives by them; 0 where a loss has no such option. */
    private record Parameters(double beta, double mix, double tau) {}

    /** A function of the margin: its value, slope, and derivatives by parameters. */
    private record OfMargin(double value, double slope, Parameters parameters) {}

    static void evaluate(Loss.OfMargin loss, Pairs pairs, double[] upstream, PairGradients out) {
        double[] chosen = pairs.chosenRatios();
        double[] rejected = pairs.rejectedRatios();
        for (int i = 0; i < pairs.size(); i++) {
            Slope ofChosen = score(loss.fDivergence(), chosen[i]);
            Slope ofRejected = score(loss.fDivergence(), rejected[i]);
            double chosenLength = loss.dividesByLength() ? pairs.chosenCounts()[i] : 1;
            double rejectedLength = loss.dividesByLength() ? pairs.rejectedCounts()[i] : 1;
            double margin = ofChosen.value() / chosenLength - ofRejected.value() / rejectedLength;
            double ofConstants =
                    constant(loss.fDivergence()) * (1 / chosenLength - 1 / rejectedLength);
            PairParameters all = pairs.parameters();
            Parameters own = new Parameters(all.beta()[i], all.mix()[i], all.tau()[i]);
            OfMargin result = at(loss, own, margin + ofConstants);
            double ofMargin = product(upstream[i], result.slope);
            out.losses[i] = result.value;
            out.addRatios(
                    i,
                    product(ofMargin, ofChosen.slope()) / chosenLength,
                    -product(ofMargin, ofRejected.slope()) / rejectedLength);
            out.beta[i] = product(upstream[i], result.parameters.beta);
            out.mix[i] = product(upstream[i], result.parameters.mix);
            out.tau[i] = product(upstream[i], result.parameters.tau);
        }
    }

    /** A loss at a margin. */
    private static OfMargin at(Loss.OfMargin loss, Parameters own, double margin) {
        double z = own.beta * margin;
        return switch (loss) {
            case Dlrml dlrml -> dlrml(dlrml.guard(), own, margin);
            case DiscoPop discoPop -> discoPop(discoPop.variant(), own, margin);
            case Sigmoid sigmoid -> scaled(own, margin, smoothed(z, sigmoid.labelSmoothing()));
            case SigmoidNorm _ -> scaled(own, margin, smoothed(z, 0));
            case Hinge _ -> scaled(own, margin, hinge(z));
            case Ipo _ -> {
                double excess = margin - 1 / (2 * own.beta);
                double ofBeta = 2 * excess / (2 * square(own.beta));
                yield new OfMargin(square(excess), 2 * excess, new Parameters(ofBeta, 0, 0));
            }
            case ExoPair exo -> scaled(own, margin, exoPair(z, exo.labelSmoothing()));
            case Robust robust -> scaled(own, margin, robust(z, robust.labelSmoothing()));
        };
    }

    /** A function of {@code beta * D} as one of the margin D and of beta. */
    private static OfMargin scaled(Parameters own, double margin, Slope function) {
        double ofBeta = product(margin, function.slope());
        return new OfMargin(
                function.value(), own.beta * function.slope(), new Parameters(ofBeta, 0, 0));
    }

    /** KL divergence of the Bernoulli distributions S(z) and 1-e. */
    private static Slope exoPair(double z, double e) {
        double towardsChosen = product(logistic(z), -softplus(-z) - Math.log1p(-e));
        double towardsRejected = product(logistic(-z), -softplus(z) - Math.log(e));
        return new Slope(
                towardsChosen + towardsRejected,
                product(bell(z), z - Math.log1p(-e) + Math.log(e)));
    }

    private static Slope robust(double z, double e) {
        double value = (1 - e) * softplus(-z) - product(e, softplus(z));
        return new Slope(
                value / (1 - 2 * e), -((1 - e) * logistic(-z) + e * logistic(z)) / (1 - 2 * e));
    }

    private static OfMargin dlrml(Guard guard, Parameters own, double margin) {
        double product = own.tau * own.beta;
        if (guard == Guard.CLAMP && own.mix < product) {
            // With beta_mix = tau * beta_kl the gate's argument is beta_kl * D: tau drops out of
            // the loss.
            Mixture mixture = new Mixture(margin, own.beta, own.beta);
            double ofBetaKl = product(margin, mixture.slope / own.beta);
            return new OfMargin(mixture.value, mixture.slope, new Parameters(ofBetaKl, 0, 0));
        }
        double gate = own.mix / own.tau;
        Mixture mixture = new Mixture(margin, own.beta, gate);
        double ofGate = product(margin, mixture.ofU);
        return new OfMargin(
                mixture.value,
                mixture.slope,
                new Parameters(
                        product(margin, mixture.ofZ),
                        ofGate / own.tau,
                        -product(gate / own.tau, ofGate)));
    }

    private static OfMargin discoPop(Variant variant, Parameters own, double margin) {
        boolean old = variant == Variant.OLD;
        double gate = old ? 1 : own.beta / own.tau;
        Mixture mixture = new Mixture(margin, own.beta, gate);
        // Scaling beta scales the margin, except that the old gate has no beta.
        double ofBeta = product(margin, old ? mixture.ofZ : mixture.slope / own.beta);
        double ofTau = old ? 0 : -product(gate / own.tau, product(margin, mixture.ofU));
        return new OfMargin(mixture.value, mixture.slope, new Parameters(ofBeta, 0, ofTau));
    }

    /**
     * {@code S(-u) softplus(-z) + S(u) exp(-z)} with {@code z = beta * D} and {@code u = gate * D}.
     */
    private static final class Mixture {
        final double value;
        final double slope;
        final double ofZ;
        final double ofU;

        Mixture(double margin, double beta, double gate) {
            double z = beta * margin;
            double u = product(gate, margin);
            // log of S(u) exp(-z), and of S(-u) S(u) exp(-z), each as (multiple of the margin) -
            // (something in [0, 2 ln 2])
            double exponential;
            double gatedExponential;
            if (u < 0) {
                double log1p = Math.log1p(Math.exp(u));
                exponential = Math.exp(product(gate - beta, margin) - log1p);
                gatedExponential = Math.exp(product(gate - beta, margin) - 2 * log1p);
            } else {
                double log1p = Math.log1p(Math.exp(-u));
                exponential = Math.exp(-z - log1p);
                gatedExponential = Math.exp(product(-gate - beta, margin) - 2 * log1p);
            }
            double penalty = logistic(-u);
            value = product(penalty, softplus(-z)) + exponential;
            ofZ = -(penalty * logistic(-z) + exponential);
            if (z > 0) {
                ofU = penalty * logistic(u) * excess(Math.exp(-z));
            } else if (gatedExponential == Double.POSITIVE_INFINITY) {
                ofU = gatedExponential;
            } else {
                ofU = gatedExponential - product(penalty * logistic(u), softplus(-z));
            }
            slope =
                    exponential == Double.POSITIVE_INFINITY
                            ? Double.NEGATIVE_INFINITY
                            : beta * ofZ + product(gate, ofU);
        }
    }

    /** A score without its constant, which would swamp what scores far from 0 differ by. */
    private static Slope score(FDivergence divergence, double x) {
        return switch (divergence) {
            case FDivergence.ReverseKl() -> new Slope(x, 1);
            case FDivergence.ForwardKl() -> {
                Slope power = clampedExp(-x);
                yield new Slope(-power.value(), power.slope());
            }
            case FDivergence.Js() -> new Slope(-softplus(-x), logistic(-x));
            case FDivergence.Alpha(double alpha) -> {
                if (isReverseKl(alpha)) {
                    yield new Slope(x, 1);
                }
                Slope power = clampedExp((alpha - 1) * x);
                yield new Slope(power.value() / (alpha - 1), power.slope());
            }
        };
    }

    /** What makes a score 0 at 0; it cancels between answers of one length. */
    private static double constant(FDivergence divergence) {
        return switch (divergence) {
            case FDivergence.ReverseKl() -> 0;
            case FDivergence.ForwardKl() -> 1;
            case FDivergence.Js() -> Math.log(2);
            case FDivergence.Alpha(double alpha) -> isReverseKl(alpha) ? 0 : -1 / (alpha - 1);
        };
    }

    private static boolean isReverseKl(double alpha) {
        return Math.abs(alpha - 1) < 1e-6;
    }

    private static Slope clampedExp(double exponent) {
        double value = Math.exp(Math.min(exponent, 80));
        return new Slope(value, exponent > 80 ? 0 : value);
    }

    /**
     * {@code t - log(1+t)} for t in [0,1]; as a series for small t, where the difference cancels.
     */
    private static double excess(double t) {
        if (t > .1) {
            return t - Math.log1p(t);
        }
        double sum = 0;
        double power = -t;
        for (int n = 2; n <= 20; n++) {
            power *= -t;
            sum += power / n;
        }
        return sum;
    }
}
