package dev.logratio.trainers.quickstart;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PairLoss;
import dev.logratio.Tensor;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sigmoid;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;

/**
 * Where a loss is stationary as a function of rho, the log-ratio of chosen over rejected, policy against reference. Training starts at
 * rho = 0. A minimum at a negative rho traps pairs there: it prefers the wrong answer, and no small step leaves it.
 *
 * @param minimum rho of the local minimum, if there is one
 * @param maximum rho of the local maximum that fences it off from large rho, if there is one
 * @param lossAtMinimum the loss there; NaN without a minimum
 * @param lossAtMaximum the loss there; NaN without a maximum
 * @param slopeAtStart derivative of the loss at rho = 0; positive where descent first lowers rho
 */
record LossShape(OptionalDouble minimum, OptionalDouble maximum, double lossAtMinimum, double lossAtMaximum, double slopeAtStart) {
    /** Half the width of the search, in units of the gate's argument; beyond it the gate is 0 or 1 to the last bit and the slope's sign final. */
    private static final double REACH = 40;
    private static final int CELLS = 8000;
    private static final int BISECTIONS = 60;

    /** Finds the stationary points numerically, from the loss's own derivative. */
    static LossShape of(Loss loss, Backend backend) {
        double unit = unit(loss);
        double[] rho = new double[CELLS + 1];
        for (int i = 0; i <= CELLS; i++) {
            rho[i] = (2.0 * i / CELLS - 1) * REACH * unit;
        }
        double[] slope = evaluate(loss, backend, rho).slope();
        List<Double> minima = new ArrayList<>();
        List<Double> maxima = new ArrayList<>();
        for (int i = 0; i < CELLS; i++) {
            if (slope[i] < 0 && slope[i + 1] >= 0) {
                minima.add(root(loss, backend, rho[i], rho[i + 1]));
            } else if (slope[i] > 0 && slope[i + 1] <= 0) {
                maxima.add(root(loss, backend, rho[i], rho[i + 1]));
            }
        }
        if (minima.size() > 1 || maxima.size() > 1) {
            throw new IllegalArgumentException("the loss has more than one local minimum or maximum: " + loss);
        }
        return new LossShape(only(minima), only(maxima), valueAt(loss, backend, only(minima)), valueAt(loss, backend, only(maxima)),
                evaluate(loss, backend, new double[] {0}).slope()[0]);
    }

    /** The rho at which the gate's argument, or for a loss without a gate that of the logistic, is 1. */
    private static double unit(Loss loss) {
        return switch (loss) {
            case Dlrml dlrml -> dlrml.tau() / Math.abs(dlrml.betaMix());
            case DiscoPop discoPop -> discoPop.tau() / discoPop.beta();
            case Sigmoid sigmoid -> 1 / sigmoid.beta();
        };
    }

    private static double root(Loss loss, Backend backend, double from, double to) {
        boolean negativeFirst = evaluate(loss, backend, new double[] {from}).slope()[0] < 0;
        for (int i = 0; i < BISECTIONS; i++) {
            double middle = (from + to) / 2;
            if (evaluate(loss, backend, new double[] {middle}).slope()[0] < 0 == negativeFirst) {
                from = middle;
            } else {
                to = middle;
            }
        }
        return (from + to) / 2;
    }

    private static OptionalDouble only(List<Double> values) {
        return values.isEmpty() ? OptionalDouble.empty() : OptionalDouble.of(values.getFirst());
    }

    private static double valueAt(Loss loss, Backend backend, OptionalDouble rho) {
        return rho.isEmpty() ? Double.NaN : evaluate(loss, backend, new double[] {rho.getAsDouble()}).loss()[0];
    }

    private record Values(double[] loss, double[] slope) {}

    private static Values evaluate(Loss loss, Backend backend, double[] rho) {
        double[] ones = new double[rho.length];
        Arrays.fill(ones, 1);
        try (Tensor chosen = Tensor.of(DType.F64, rho, rho.length);
                Tensor zero = Tensor.zeros(DType.F64, rho.length);
                Tensor upstream = Tensor.of(DType.F64, ones, rho.length);
                Tensor value = Tensor.zeros(DType.F64, rho.length);
                Tensor slope = Tensor.zeros(DType.F64, rho.length);
                Tensor other = Tensor.zeros(DType.F64, rho.length)) {
            PairLoss.of(loss, chosen, zero).reference(zero, zero).gradLoss(upstream).loss(value).gradPolicy(slope, other).run(backend);
            return new Values(value.toDoubles(), slope.toDoubles());
        }
    }

    /** Whether rho lies within a tenth of the minimum's own size from the minimum; never without one. */
    boolean traps(double rho) {
        return minimum.isPresent() && Math.abs(rho - minimum.getAsDouble()) <= 0.1 * Math.abs(minimum.getAsDouble());
    }
}
