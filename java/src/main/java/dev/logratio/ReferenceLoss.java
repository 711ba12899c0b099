package dev.logratio;

import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Guard;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.Variant;

/**
 * The losses in float64, for one pair. Where an exponential meets a logistic factor the two are multiplied by adding their logarithms, so
 * that nothing overflows which the product does not; a product of a vanished and an infinite factor is 0, its limit in these losses.
 */
final class ReferenceLoss {
    private ReferenceLoss() {}

    /**
     * A pair's loss and derivatives.
     *
     * @param value the loss
     * @param chosen derivative with respect to the chosen log-ratio
     * @param rejected with respect to the rejected log-ratio
     * @param options with respect to the options
     */
    record Pair(double value, double chosen, double rejected, OptionGradient options) {}

    /** Derivatives with respect to options; 0 where a loss has no such option. */
    record OptionGradient(double beta, double betaKl, double betaMix, double tau) {
        static final OptionGradient NONE = new OptionGradient(0, 0, 0, 0);
    }

    /** A function of the margin D: its value, slope, and derivatives with respect to options. */
    private record OfMargin(double value, double slope, OptionGradient options) {}

    private record Score(double value, double slope) {}

    /** A loss of the log-ratios policy/reference of the chosen and the rejected sequence. */
    static Pair evaluate(Loss loss, double chosen, double rejected) {
        Score ofChosen = score(loss.fDivergence(), chosen);
        Score ofRejected = score(loss.fDivergence(), rejected);
        double margin = ofChosen.value - ofRejected.value;
        OfMargin result = switch (loss) {
            case Dlrml dlrml -> dlrml(dlrml, margin);
            case DiscoPop discoPop -> discoPop(discoPop, margin);
            case Sigmoid sigmoid -> sigmoid(sigmoid, margin);
        };
        return new Pair(
                result.value,
                product(result.slope, ofChosen.slope),
                -product(result.slope, ofRejected.slope),
                result.options);
    }

    private static OfMargin sigmoid(Sigmoid loss, double margin) {
        double z = loss.beta() * margin;
        double e = loss.labelSmoothing();
        double value = (1 - e) * softplus(-z) + product(e, softplus(z));
        double slope = loss.beta() * (e * logistic(z) - (1 - e) * logistic(-z));
        return new OfMargin(value, slope, OptionGradient.NONE);
    }

    private static OfMargin dlrml(Dlrml loss, double margin) {
        double product = loss.tau() * loss.betaKl();
        if (loss.guard() == Guard.CLAMP && loss.betaMix() < product) {
            // With beta_mix = tau * beta_kl the gate's argument is beta_kl * D: tau drops out of the loss.
            Mixture mixture = new Mixture(margin, loss.betaKl(), loss.betaKl());
            double ofBetaKl = product(margin, mixture.slope / loss.betaKl());
            return new OfMargin(mixture.value, mixture.slope, new OptionGradient(0, ofBetaKl, 0, 0));
        }
        double gate = loss.betaMix() / loss.tau();
        Mixture mixture = new Mixture(margin, loss.betaKl(), gate);
        double ofGate = product(margin, mixture.ofU);
        return new OfMargin(
                mixture.value,
                mixture.slope,
                new OptionGradient(0, product(margin, mixture.ofZ), ofGate / loss.tau(), -product(gate / loss.tau(), ofGate)));
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

    /** {@code S(-u) softplus(-z) + S(u) exp(-z)} with {@code z = beta * D} and {@code u = gate * D}. */
    private static final class Mixture {
        final double value;
        final double slope;
        final double ofZ;
        final double ofU;

        Mixture(double margin, double beta, double gate) {
            double z = beta * margin;
            double u = product(gate, margin);
            // log of S(u) exp(-z), and of S(-u) S(u) exp(-z), each as (multiple of the margin) - (something in [0, 2 ln 2])
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
            slope = exponential == Double.POSITIVE_INFINITY ? Double.NEGATIVE_INFINITY : beta * ofZ + product(gate, ofU);
        }
    }

    private static Score score(FDivergence divergence, double x) {
        return switch (divergence) {
            case FDivergence.ReverseKl() -> new Score(x, 1);
            case FDivergence.ForwardKl() -> {
                Score power = clampedExp(-x);
                yield new Score(-power.value, power.slope);
            }
            case FDivergence.Js() -> new Score(-softplus(-x), logistic(-x));
            case FDivergence.Alpha(double alpha) -> {
                if (Math.abs(alpha - 1) < 1e-6) {
                    yield new Score(x, 1);
                }
                Score power = clampedExp((alpha - 1) * x);
                yield new Score(power.value / (alpha - 1), power.slope);
            }
        };
    }

    private static Score clampedExp(double exponent) {
        double value = Math.exp(Math.min(exponent, 80));
        return new Score(value, exponent > 80 ? 0 : value);
    }

    private static double logistic(double x) {
        return x > 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
    }

    private static double softplus(double x) {
        return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
    }

    /** {@code t - log(1+t)} for t in [0,1]; as a series for small t, where the difference cancels. */
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

    /** {@code a * b}, with 0 times infinity being 0. */
    static double product(double a, double b) {
        return a == 0 && !Double.isNaN(b) || b == 0 && !Double.isNaN(a) ? 0 : a * b;
    }
}
