package dev.logratio.bench.report;

import java.util.List;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/**
 * Whether a point of a curve lies below what its neighbours lead to expect: a straight line between
 * them, both axes being logarithmic. The last point has but one neighbour, whose value is expected;
 * the first, where a curve still rises, is expected nothing of.
 *
 * @param <T> a point
 * @param worst the point farthest below
 * @param below its distance from what is expected, as a share of that; negative if it lies above
 */
public record Trend<T>(T worst, double below) {
    /**
     * The worst point of a curve.
     *
     * @param points in ascending order of x
     * @return empty with fewer than two points
     */
    public static <T> Optional<Trend<T>> worst(
            List<T> points, ToDoubleFunction<T> x, ToDoubleFunction<T> y) {
        Trend<T> worst = null;
        for (int i = 1; i < points.size(); i++) {
            T before = points.get(i - 1);
            T point = points.get(i);
            double expected = y.applyAsDouble(before);
            if (i + 1 < points.size()) {
                T after = points.get(i + 1);
                double whole = Math.log(x.applyAsDouble(after) / x.applyAsDouble(before));
                double part = Math.log(x.applyAsDouble(point) / x.applyAsDouble(before)) / whole;
                expected *= Math.pow(y.applyAsDouble(after) / expected, part);
            }
            double below = 1 - y.applyAsDouble(point) / expected;
            if (worst == null || below > worst.below) {
                worst = new Trend<>(point, below);
            }
        }
        return Optional.ofNullable(worst);
    }
}
