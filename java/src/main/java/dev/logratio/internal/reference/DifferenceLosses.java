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
public final class DifferenceLosses {
    private DifferenceLosses() {}

    /** Derivatives with respect to options; 0 where a loss has no such option. */
    public record OptionGradient(double beta, double betaKl, double betaMix, double tau) {
        static final OptionGradient NONE = new OptionGradient(0, 0, 0, 0);
    }

    /** A function of the margin: its value, slope, and derivatives with respect to options. */
    public record OfMargin(double value, double slope, OptionGradient options) {}

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
            OfMargin result = at(loss, margin + ofConstants);
            double ofMargin = product(upstream[i], result.slope);
            out.losses[i] = result.value;
            out.addRatios(
                    i,
                    product(ofMargin, ofChosen.slope()) / chosenLength,
                    -product(ofMargin, ofRejected.slope()) / rejectedLength);
            out.beta += product(upstream[i], result.options.beta);
            out.betaKl += product(upstream[i], result.options.betaKl);
            out.betaMix += product(upstream[i], result.options.betaMix);
            out.tau += product(upstream[i], result.options.tau);
        }
    }

    /** A loss at a margin. */
    public static OfMargin at(Loss.OfMargin loss, double margin) {
        return switch (loss) {
            case Dlrml dlrml -> dlrml(dlrml, margin);
            case DiscoPop discoPop -> discoPop(discoPop, margin);
            case Sigmoid sigmoid ->
                    scaled(
                            sigmoid.beta(),
                            smoothed(sigmoid.beta() * margin, sigmoid.labelSmoothing()));
            case SigmoidNorm sigmoid ->
                    scaled(sigmoid.beta(), smoothed(sigmoid.beta() * margin, 0));
            case Hinge hinge -> scaled(hinge.beta(), hinge(hinge.beta() * margin));
            case Ipo ipo -> {
                double excess = margin - 1 / (2 * ipo.beta());
                yield scaled(1, new Slope(square(excess), 2 * excess));
            }
            case ExoPair exo ->
                    scaled(exo.beta(), exoPair(exo.beta() * margin, exo.labelSmoothing()));
            case Robust robust ->
                    scaled(robust.beta(), robust(robust.beta() * margin, robust.labelSmoothing()));
        };
    }

    /** A function of {@code scale * D} as a function of the margin D. */
    private static OfMargin scaled(double scale, Slope function) {
        return new OfMargin(function.value(), scale * function.slope(), OptionGradient.NONE);
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

    private static OfMargin dlrml(Dlrml loss, double margin) {
        double product = loss.tau() * loss.betaKl();
        if (loss.guard() == Guard.CLAMP && loss.betaMix() < product) {
            // With beta_mix = tau * beta_kl the gate's argument is beta_kl * D: tau drops out of
            // the loss.
            Mixture mixture = new Mixture(margin, loss.betaKl(), loss.betaKl());
            double ofBetaKl = product(margin, mixture.slope / loss.betaKl());
            return new OfMargin(
                    mixture.value, mixture.slope, new OptionGradient(0, ofBetaKl, 0, 0));
        }
        double gate = loss.betaMix() / loss.tau();
        Mixture mixture = new Mixture(margin, loss.betaKl(), gate);
        double ofGate = product(margin, mixture.ofU);
        return new OfMargin(
                mixture.value,
                mixture.slope,
                new OptionGradient(
                        0,
                        product(margin, mixture.ofZ),
                        ofGate / loss.tau(),
                        -product(gate / loss.tau(), ofGate)));
    }

    private static OfMargin discoPop(DiscoPop loss, double margin) {
        boolean old = loss.variant() == Variant.OLD;
        double gate = old ? 1 : loss.beta() / loss.tau();
        Mixture mixture = new Mixture(margin, loss.beta(), gate);
        // Scaling beta scales the margin, except that the old gate has no beta.
        double ofBeta = product(margin, old ? mixture.ofZ : mixture.slope / loss.beta());
        double ofTau = old ? 0 : -product(gate / loss.tau(), product(margin, mixture.ofU));
        return new OfMargin(mixture.value, mixture.slope, new OptionGradient(ofBeta, 0, 0, ofTau));
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
