package dev.logratio.misalignment;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Divergence;
import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.DivergenceOptions.Detach;
import dev.logratio.Tensor;

import java.util.Arrays;
import java.util.Objects;

/**
 * Feature misalignment of "Machine Learning from Explanations" (Tao and Shokri 2025, arXiv
 * 2507.04788): the divergence between the features of a masked input, taken as the target, and
 * those that a mapping layer makes of the features of the whole input. The paper's is {@code
 * KL(softmax(f(x')) , softmax(m(f(x))))}, {@code x'} being the input with only the explaining
 * pixels left; only m learns from it.
 *
 * <p>The gradient is that of the mapped features; the target is constant.
 *
 * @since 0.1.0
 */
public final class Feature {
    /** What a softmax is taken over. */
    public enum Axis {
        /** All C*H*W features of an example: B rows. */
        FLATTENED,
        /** The H*W places of each channel: B*C rows. */
        SPATIAL
    }

    private final Tensor target;
    private final Tensor mapped;
    private final boolean targetIsWeights;
    private Axis axis = Axis.FLATTENED;
    private DivergenceOptions options = DivergenceOptions.of(DivergenceKind.KL_PQ);
    private Tensor gradLoss;
    private Tensor gradMapped;

    private Feature(Tensor target, Tensor mapped, boolean targetIsWeights) {
        this.target = Objects.requireNonNull(target, "target");
        this.mapped = Objects.requireNonNull(mapped, "mapped");
        this.targetIsWeights = targetIsWeights;
        requireMaps("mapped", mapped);
        requireMaps("target", target);
        if (!Arrays.equals(target.shape(), mapped.shape())) {
            throw new IllegalArgumentException(
                    "target is " + target + ", expected the shape of mapped, which is " + mapped);
        }
    }

    /**
     * Describes the loss for a target that is itself features.
     *
     * @param target [B,C,H,W] float, contiguous: f(x'), on which a softmax is taken
     * @param mapped [B,C,H,W] of the same dtype, contiguous: m(f(x))
     * @return the loss, with no gradient wanted yet
     * @throws IllegalArgumentException if the shapes do not match
     */
    public static Feature ofLogits(Tensor target, Tensor mapped) {
        return new Feature(target, mapped, false);
    }

    /**
     * Describes the loss for a target of weights, such as an explanation mask itself (attention
     * supervision).
     *
     * @param target [B,C,H,W] F32, contiguous, &ge; 0, normalised along the axis, where its sum
     *     must be positive
     * @param mapped [B,C,H,W] float, contiguous
     * @return the loss, with no gradient wanted yet
     * @throws IllegalArgumentException if the shapes do not match
     */
    public static Feature ofWeights(Tensor target, Tensor mapped) {
        return new Feature(target, mapped, true);
    }

    /**
     * Masks an input by an explanation: {@code e x + (1-e) fill}, with e the mask pooled over
     * squares.
     *
     * @param input [B,C,H,W] float
     * @param mask [B,H,W]: BOOL or U8 (non-zero keeps), or float in [0,1] for a soft mask
     * @param granularity side of the squares over which the mask is averaged, 1 for none; squares
     *     at the edge may be smaller
     * @param fill value of masked pixels; 0 in the paper's reading
     * @return a new tensor of the input's shape and dtype, which the caller closes
     * @throws IllegalArgumentException if a shape, dtype or value is wrong; the message names it
     */
    public static Tensor maskInput(Tensor input, Tensor mask, int granularity, double fill) {
        requireRank("input", input, 4, "[B,C,H,W]");
        if (!input.dtype().isFloat()) {
            throw new IllegalArgumentException(
                    "input is " + input + ", expected F64, F32, BF16 or F16");
        }
        requireRank("mask", mask, 3, "[B,H,W]");
        if (mask.dtype().isInt()
                || mask.size(0) != input.size(0)
                || mask.size(1) != input.size(2)
                || mask.size(2) != input.size(3)) {
            throw new IllegalArgumentException(
                    "mask is "
                            + mask
                            + ", expected BOOL, U8 or float ["
                            + input.size(0)
                            + ", "
                            + input.size(2)
                            + ", "
                            + input.size(3)
                            + "]");
        }
        if (granularity < 1) {
            throw new IllegalArgumentException(
                    "granularity is " + granularity + ", expected at least 1");
        }
        if (!Double.isFinite(fill)) {
            throw new IllegalArgumentException("fill is " + fill + ", expected a finite number");
        }
        requireUnit(mask);
        Tensor masked = Tensor.zeros(input.dtype(), input.shape());
        for (long b = 0; b < input.size(0); b++) {
            for (long h = 0; h < input.size(2); h++) {
                for (long w = 0; w < input.size(3); w++) {
                    double keep =
                            pooled(
                                    mask,
                                    b,
                                    h / granularity * granularity,
                                    w / granularity * granularity,
                                    granularity);
                    for (long c = 0; c < input.size(1); c++) {
                        masked.setDouble(
                                keep * input.getDouble(b, c, h, w) + (1 - keep) * fill, b, c, h, w);
                    }
                }
            }
        }
        return masked;
    }

    /**
     * Sets what the softmax is taken over.
     *
     * @param axis default {@code FLATTENED}; Wasserstein distances follow the order of the features
     *     in memory
     * @return this
     */
    public Feature axis(Axis axis) {
        this.axis = Objects.requireNonNull(axis, "axis");
        return this;
    }

    /**
     * Sets the divergence; p is the target, q the mapped features.
     *
     * @param options default {@code KL_PQ}, mean over rows; what it says of detaching is not used,
     *     as the target always is
     * @return this
     */
    public Feature options(DivergenceOptions options) {
        this.options = Objects.requireNonNull(options, "options");
        return this;
    }

    /**
     * Gives the upstream gradient of the loss.
     *
     * @param gradLoss [1] float; default 1
     * @return this
     */
    public Feature gradLoss(Tensor gradLoss) {
        this.gradLoss = gradLoss;
        return this;
    }

    /**
     * Wants the gradient of the mapped features.
     *
     * @param out [B,C,H,W] of their dtype, contiguous; it may be the mapped features themselves
     * @return this
     */
    public Feature gradMapped(Tensor out) {
        requireMaps("gradMapped", out);
        this.gradMapped = out;
        return this;
    }

    /**
     * Computes the loss.
     *
     * @param backend what computes
     * @return the divergence, reduced over the rows
     * @throws IllegalArgumentException if an argument is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed
     */
    public double run(Backend backend) {
        Objects.requireNonNull(backend, "backend");
        try (Tensor loss = Tensor.zeros(DType.F64, 1)) {
            Tensor live = rows(mapped);
            Divergence divergence =
                    targetIsWeights
                            ? Divergence.ofWeights(live, rows(target))
                            : Divergence.of(live, rows(target));
            divergence
                    .options(fromTheOtherSide())
                    .gradLoss(gradLoss)
                    .loss(loss)
                    .gradP(gradMapped == null ? null : rows(gradMapped))
                    .run(backend);
            return loss.getDouble(0);
        }
    }

    /**
     * The same divergence with the mapped features as p and the target as q: weights can only be q.
     */
    private DivergenceOptions fromTheOtherSide() {
        DivergenceKind kind =
                switch (options.divergence()) {
                    case KL_PQ -> DivergenceKind.KL_QP;
                    case KL_QP -> DivergenceKind.KL_PQ;
                    default -> options.divergence();
                };
        return new DivergenceOptions(
                kind,
                options.w2(),
                options.w1(),
                options.temperature(),
                1 - options.jsWeight(),
                options.vocab(),
                Detach.Q,
                options.reduction());
    }

    private Tensor rows(Tensor maps) {
        long[] shape = maps.shape();
        long spatial = shape[2] * shape[3];
        return axis == Axis.FLATTENED
                ? maps.reshape(shape[0], shape[1] * spatial)
                : maps.reshape(shape[0] * shape[1], spatial);
    }

    private static double pooled(Tensor mask, long b, long fromH, long fromW, int granularity) {
        long toH = Math.min(fromH + granularity, mask.size(1));
        long toW = Math.min(fromW + granularity, mask.size(2));
        double sum = 0;
        for (long h = fromH; h < toH; h++) {
            for (long w = fromW; w < toW; w++) {
                sum += weight(mask, b, h, w);
            }
        }
        return sum / ((toH - fromH) * (toW - fromW));
    }

    private static double weight(Tensor mask, long... index) {
        double value = mask.getDouble(index);
        return mask.dtype().isFloat() ? value : value == 0 ? 0 : 1;
    }

    private static void requireUnit(Tensor mask) {
        for (double value : mask.dtype().isFloat() ? mask.toDoubles() : new double[0]) {
            if (!(value >= 0 && value <= 1)) {
                throw new IllegalArgumentException(
                        "mask holds " + value + ", expected numbers in [0,1]");
            }
        }
    }

    private static void requireMaps(String name, Tensor tensor) {
        requireRank(name, tensor, 4, "[B,C,H,W]");
        if (!tensor.isContiguous()) {
            throw new IllegalArgumentException(
                    name + " is " + tensor + ", expected a contiguous tensor");
        }
    }

    private static void requireRank(String name, Tensor tensor, int rank, String shape) {
        Objects.requireNonNull(tensor, name);
        if (tensor.rank() != rank) {
            throw new IllegalArgumentException(
                    name + " is " + tensor + ", expected shape " + shape);
        }
    }
}
