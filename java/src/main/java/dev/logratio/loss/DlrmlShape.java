package dev.logratio.loss;

import static dev.logratio.internal.Functions.bell;
import static dev.logratio.internal.Functions.logistic;
import static dev.logratio.internal.Functions.softplus;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.DoubleUnaryOperator;

/**
 * What {@link Dlrml} looks like as a function of rho, the log-ratio of chosen over rejected
 * sequence, policy against reference.
 *
 * <p>Training starts at rho = 0, and the loss falls to 0 as rho grows; but where {@code c =
 * beta_kl*tau/beta_mix} is below .1098 there is a local minimum on the way, at a negative rho, and
 * below .1023 the start of training is pushed towards it. {@link DiscoPop} is the case {@code
 * beta_kl = beta_mix}, where c is tau.
 *
 * <p>It is looked for within {@code |rho| <= 40 tau/|beta_mix|}, where the gate opens and closes.
 *
 * @param betaKl beta_kl
 * @param betaMix beta_mix
 * @param tau tau
 * @param c {@code beta_kl*tau/beta_mix}, which alone decides on the shape; infinite where beta_mix
 *     is 0
 * @param startGradient derivative of the loss at rho = 0; positive where descent first lowers rho
 * @param minimum the local minimum, if there is one
 * @param maximum the local maximum that fences the minimum off from large rho, if there is one
 * @param nonConvex where the second derivative is negative, ascending; empty if the loss is convex
 * @since 0.1.0
 */
public record DlrmlShape(
        double betaKl,
        double betaMix,
        double tau,
        double c,
        double startGradient,
        Optional<Point> minimum,
        Optional<Point> maximum,
        List<Interval> nonConvex) {
    /**
     * Half the width of the search, in units of the gate's argument; beyond it the gate is 0 or 1
     * to the last bit.
     */
    private static final double REACH = 40;

    private static final int CELLS = 8000;
    private static final int BISECTIONS = 60;
    private static final double FLAT = 1e-13; // a curvature below this is none: it may be rounding

    /**
     * A point of the loss's graph.
     *
     * @param rho the log-ratio
     * @param loss the loss there
     */
    public record Point(double rho, double loss) {}

    /**
     * An open interval of rho.
     *
     * @param from its lower end
     * @param to its upper end
     */
    public record Interval(double from, double to) {}

    /**
     * Finds the shape numerically, in float64.
     *
     * @param betaKl finite and &gt; 0
     * @param betaMix finite
     * @param tau finite and &gt; 0
     * @return the shape
     * @throws IllegalArgumentException if a number is out of its range
     */
    public static DlrmlShape of(double betaKl, double betaMix, double tau) {
        new Dlrml(betaKl, betaMix, tau); // checks them
        // With rho in units of the gate's argument only c is left.
        double unit = betaMix == 0 ? 1 / betaKl : tau / Math.abs(betaMix);
        double scale = betaKl * unit;
        double sign = Math.signum(betaMix);
        DoubleUnaryOperator slope = x -> Graph.at(scale, sign, x).slope;
        DoubleUnaryOperator curvature = x -> Graph.at(scale, sign, x).curvature + FLAT;
        Optional<Point> minimum = Optional.empty();
        Optional<Point> maximum = Optional.empty();
        for (Root root : roots(slope)) {
            double loss = Graph.at(scale, sign, root.x).value;
            Optional<Point> point = Optional.of(new Point(root.x * unit, loss));
            if (root.rising) {
                minimum = point;
            } else {
                maximum = point;
            }
        }
        double c = betaKl * tau / betaMix;
        double startGradient = slope.applyAsDouble(0) / unit;
        return new DlrmlShape(
                betaKl,
                betaMix,
                tau,
                c,
                startGradient,
                minimum,
                maximum,
                negative(curvature, unit));
    }

    /**
     * {@code S(-u) softplus(-z) + S(u) exp(-z)} with {@code z = c x} and {@code u = sign x}, and
     * its first two derivatives by x.
     */
    private record Graph(double value, double slope, double curvature) {
        static Graph at(double c, double sign, double x) {
            double z = c * x;
            double u = sign * x;
            double m = logistic(u);
            double q = logistic(-u);
            double exponential = Math.exp(-z - softplus(-u)); // m exp(-z)
            double ofZ = -q * logistic(-z) - exponential;
            double ofU = q * (exponential - m * softplus(-z));
            double ofZz = q * bell(z) + exponential;
            double ofUz = -q * (exponential - m * logistic(-z));
            double ofUu = (q - m) * ofU;
            return new Graph(
                    q * softplus(-z) + exponential,
                    c * ofZ + sign * ofU,
                    c * c * ofZz + 2 * c * sign * ofUz + sign * sign * ofUu);
        }
    }

    /** Where a function changes its sign. */
    private record Root(double x, boolean rising) {}

    private static List<Root> roots(DoubleUnaryOperator function) {
        List<Root> roots = new ArrayList<>();
        OptionalDouble last = OptionalDouble.empty(); // the last x at which the function was not 0
        for (int i = 0; i <= CELLS; i++) {
            double x = (2.0 * i / CELLS - 1) * REACH;
            double value = function.applyAsDouble(x);
            if (value == 0 || Double.isNaN(value)) {
                continue; // underflow far out, overflow far down
            }
            if (last.isPresent() && function.applyAsDouble(last.getAsDouble()) < 0 != value < 0) {
                roots.add(new Root(bisect(function, last.getAsDouble(), x), value > 0));
            }
            last = OptionalDouble.of(x);
        }
        return roots;
    }

    private static double bisect(DoubleUnaryOperator function, double from, double to) {
        boolean negativeFirst = function.applyAsDouble(from) < 0;
        double low = from;
        double high = to;
        for (int i = 0; i < BISECTIONS; i++) {
            double middle = (low + high) / 2;
            if (function.applyAsDouble(middle) < 0 == negativeFirst) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return (low + high) / 2;
    }

    /** Where a function that is positive at both ends is negative. */
    private static List<Interval> negative(DoubleUnaryOperator function, double unit) {
        List<Interval> intervals = new ArrayList<>();
        double from = 0;
        for (Root root : roots(function)) {
            if (root.rising) {
                intervals.add(new Interval(from * unit, root.x * unit));
            } else {
                from = root.x;
            }
        }
        return List.copyOf(intervals);
    }

    /**
     * How much the loss rises from the minimum to the maximum: what holds a pair in the minimum.
     *
     * @return 0 without a minimum
     */
    public double barrier() {
        return minimum.isPresent() && maximum.isPresent()
                ? maximum.get().loss() - minimum.get().loss()
                : 0;
    }

    /**
     * What the shape means for training.
     *
     * @return one or two plain sentences
     */
    public String verdict() {
        String growth =
                betaMix < tau * betaKl
                        ? " As beta_mix is below tau*beta_kl, the loss of bad pairs grows"
                                + " exponentially."
                        : "";
        return course() + growth;
    }

    private String course() {
        if (minimum.isPresent() && startGradient > 0) {
            return String.format(
                    Locale.ROOT,
                    "From the start, rho = 0, descent lowers rho and settles in the minimum at"
                            + " %.4f: such pairs prefer the rejected answer.",
                    minimum.get().rho());
        }
        if (minimum.isPresent() && maximum.isPresent()) {
            return String.format(
                    Locale.ROOT,
                    "From the start, rho = 0, descent raises rho; a pair that falls below the"
                            + " maximum at %.4f is caught in the minimum.",
                    maximum.get().rho());
        }
        return nonConvex.isEmpty()
                ? "Convex: descent raises rho from any start."
                : "No stationary point, though not convex: descent raises rho from any start.";
    }
}
