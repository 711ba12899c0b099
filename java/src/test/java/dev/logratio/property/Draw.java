package dev.logratio.property;

import dev.logratio.DType;
import dev.logratio.Tensor;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * What a random case is drawn from: choices, numbers, and tensors of any layout. The same seed
 * gives the same case.
 */
final class Draw {
    private final SplittableRandom random;
    private final Arena arena;
    private final boolean small;

    /**
     * A source of choices.
     *
     * @param arena where tensors live
     * @param small whether the case should be kept small
     */
    Draw(long seed, Arena arena, boolean small) {
        this.random = new SplittableRandom(seed);
        this.arena = arena;
        this.small = small;
    }

    boolean small() {
        return small;
    }

    boolean chance(double probability) {
        return random.nextDouble() < probability;
    }

    /** An index below a bound. */
    int below(int bound) {
        return random.nextInt(bound);
    }

    int size(int... choices) {
        return choices[random.nextInt(choices.length)];
    }

    double number(double... choices) {
        return choices[random.nextInt(choices.length)];
    }

    @SafeVarargs
    final <T> T oneOf(T... choices) {
        return choices[random.nextInt(choices.length)];
    }

    <T> T oneOf(List<T> choices) {
        return choices.get(random.nextInt(choices.size()));
    }

    double gaussian() {
        return random.nextGaussian();
    }

    double between(double least, double most) {
        return least + (most - least) * random.nextDouble();
    }

    /** Between two positive numbers, evenly spread over the orders of magnitude. */
    double magnitude(double least, double most) {
        return Math.exp(between(Math.log(least), Math.log(most)));
    }

    double[] gaussians(int count, double scale) {
        double[] values = new double[count];
        Arrays.setAll(values, i -> scale * gaussian());
        return values;
    }

    /** Upstream gradients: of any size and sign, some of them 0. */
    double[] upstreams(int count) {
        double scale = chance(.7) ? 1 : magnitude(1e-3, 1e3);
        double[] values = new double[count];
        Arrays.setAll(values, i -> chance(.15) ? 0 : scale * gaussian());
        return values;
    }

    /** A vocabulary around the widths and tails of vectors, tiles and segments. */
    int vocabulary() {
        if (chance(.75)) {
            return size(1, 2, 3, 5, 17, 41, 123);
        }
        return chance(small ? .02 : .05) ? 33000 : size(507, 1271, 2048, 2049, 4099);
    }

    /** A smaller vocabulary: a step reads as many rows as its pairs have tokens. */
    int stepVocabulary() {
        return chance(.95) ? size(1, 2, 3, 5, 17, 41, 123) : size(507, 1271, 2049);
    }

    DType logitType() {
        return oneOf(DType.F32, DType.F32, DType.BF16, DType.F16);
    }

    DType wideFloat() {
        return oneOf(DType.F32, DType.F64);
    }

    DType integer() {
        return oneOf(DType.I32, DType.I64);
    }

    /**
     * Zeros: a whole tensor or, as often, a view of part of a larger one, whose other elements are
     * no use to anyone.
     */
    Tensor zeros(DType dtype, long... shape) {
        if (chance(.5)) {
            return Tensor.zeros(arena, dtype, shape);
        }
        // Every second row of a longer and wider tensor: [rows + 1, 2, ..., columns + 3] at [1:, 1,
        // ..., offset:]
        long[] whole = new long[shape.length + 1];
        whole[0] = shape[0] + 1;
        whole[1] = 2;
        for (int d = 1; d < shape.length; d++) {
            whole[d + 1] = shape[d] + 3;
        }
        Tensor all = Tensor.zeros(arena, dtype, whole);
        if (dtype.isFloat()) {
            all.fill(Double.NaN);
        } else if (dtype.isInt()) {
            all.fill(Integer.MAX_VALUE);
        }
        Tensor view = all.select(1, below(2)).slice(0, 1, 1 + shape[0]);
        for (int d = 1; d < shape.length; d++) {
            int from = below(4);
            view = view.slice(d, from, from + shape[d]);
        }
        return view.fill(0);
    }

    /** Values, each rounded to the dtype, in a tensor of any layout. */
    Tensor tensor(DType dtype, double[] values, long... shape) {
        return zeros(dtype, shape).copyFrom(Tensor.of(arena, dtype, values, shape));
    }

    /** A copy in any layout. */
    Tensor copy(Tensor tensor) {
        return zeros(tensor.dtype(), tensor.shape()).copyFrom(tensor);
    }

    /** A copy in float64, exact. */
    Tensor doubles(Tensor tensor) {
        return Tensor.zeros(arena, DType.F64, tensor.shape()).copyFrom(tensor);
    }
}
