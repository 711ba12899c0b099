package dev.logratio.misalignment;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Divergence;
import dev.logratio.DivergenceOptions;
import dev.logratio.Tensor;

import java.lang.foreign.Arena;
import java.util.Objects;
import java.util.random.RandomGenerator;

/**
 * Long-short misalignment (Du et al. 2025, arXiv 2506.11769): how much a model's predictions for
 * the same tokens differ between two context lengths. Of a sequence of {@code L + e} tokens the
 * model reads the first {@code L} and, in another run, the last {@code L}; absolute token t in [e,
 * L-1] then has a prediction from each, row t of the first run and row t-e of the last. The term, a
 * divergence of these rows times a coefficient, is added to the training loss.
 *
 * <p>Rows are paired by index; nothing is copied. Both runs carry a gradient unless the options
 * detach one.
 *
 * @since 0.1.0
 */
public final class LongShort {
    /** The coefficient of the paper's main tables. */
    public static final double DEFAULT_COEFFICIENT = .1;

    /** Which of the overlapping rows count. */
    public enum Positions {
        /** All {@code L-e} of each sequence. */
        OVERLAP,
        /** The last of each sequence, token L-1. */
        LAST,
        /** All, weighted by a mask. */
        MASK
    }

    private final Tensor first;
    private final Tensor last;
    private final int extra;
    private Positions positions = Positions.OVERLAP;
    private Tensor mask;
    private DivergenceOptions options = DivergenceOptions.DEFAULT;
    private double coefficient = DEFAULT_COEFFICIENT;
    private Tensor gradFirst;
    private Tensor gradLast;

    private LongShort(Tensor first, Tensor last, int extra) {
        this.first = first;
        this.last = last;
        this.extra = extra;
        requireSequences("first", first);
        requireSequences("last", last);
        if (first.size(0) != last.size(0) || first.size(1) != last.size(1)) {
            throw new IllegalArgumentException(
                    "last is "
                            + last
                            + ", expected as many sequences and tokens as first, which is "
                            + first);
        }
        if (extra < 1 || extra >= first.size(1)) {
            throw new IllegalArgumentException(
                    "extra is " + extra + ", expected a number in [1," + first.size(1) + ")");
        }
    }

    /**
     * Describes the term for the logits of the two runs.
     *
     * @param first [B,L,V] float, of the first L tokens; sequences one after the other
     * @param last [B,L,V] of the same dtype, of the last L tokens
     * @param extra e, in [1,L)
     * @return the term, with no gradient wanted yet
     * @throws IllegalArgumentException if the shapes do not match or {@code extra} is out of range
     */
    public static LongShort of(Tensor first, Tensor last, int extra) {
        return new LongShort(first, last, extra);
    }

    /**
     * Describes the term for the logits of one run over both halves of a batch.
     *
     * @param both [2B,L,V] float: the first L tokens of every sequence, then the last L tokens of
     *     every sequence
     * @param extra e, in [1,L)
     * @return the term, with no gradient wanted yet
     * @throws IllegalArgumentException if the first dimension is odd or {@code extra} is out of
     *     range
     */
    public static LongShort ofStacked(Tensor both, int extra) {
        requireSequences("both", both);
        return new LongShort(half("both", both, 0), half("both", both, 1), extra);
    }

    /**
     * Draws the extra length uniformly from 1 to half the training length, as the paper does.
     *
     * @param trainLength L, at least 2
     * @param random a seeded generator, for runs that repeat
     * @return e
     * @throws IllegalArgumentException if the length is below 2
     */
    public static int sampleExtra(int trainLength, RandomGenerator random) {
        if (trainLength < 2) {
            throw new IllegalArgumentException(
                    "trainLength is " + trainLength + ", expected at least 2");
        }
        return random.nextInt(1, trainLength / 2 + 1);
    }

    /**
     * Sets which overlapping rows count, without a mask.
     *
     * @param positions {@code OVERLAP}, the default, or {@code LAST}
     * @return this
     * @throws IllegalArgumentException if it is {@code MASK}, which {@link #mask} sets
     */
    public LongShort positions(Positions positions) {
        Objects.requireNonNull(positions, "positions");
        if (positions == Positions.MASK) {
            throw new IllegalArgumentException(
                    "positions is MASK, expected a mask: call mask(...)");
        }
        this.positions = positions;
        this.mask = null;
        return this;
    }

    /**
     * Weighs the overlapping rows, for padding.
     *
     * @param mask [B,L-e] float, finite and &ge; 0; column i belongs to absolute token e+i
     * @return this
     */
    public LongShort mask(Tensor mask) {
        Objects.requireNonNull(mask, "mask");
        long overlap = first.size(1) - extra;
        if (mask.rank() != 2 || mask.size(0) != first.size(0) || mask.size(1) != overlap) {
            throw new IllegalArgumentException(
                    "mask is "
                            + mask
                            + ", expected shape ["
                            + first.size(0)
                            + ", "
                            + overlap
                            + "]");
        }
        this.positions = Positions.MASK;
        this.mask = mask.reshape(mask.elementCount());
        return this;
    }

    /**
     * Sets the divergence; p is the first run, q the last.
     *
     * @param options default: symmetric cross entropy, mean over rows, both runs live
     * @return this
     */
    public LongShort options(DivergenceOptions options) {
        this.options = Objects.requireNonNull(options, "options");
        return this;
    }

    /**
     * Sets what the divergence is multiplied by.
     *
     * @param coefficient finite; default {@value #DEFAULT_COEFFICIENT}; .1 to .3 is recommended
     * @return this
     */
    public LongShort coefficient(double coefficient) {
        this.coefficient = coefficient;
        return this;
    }

    /**
     * Wants the gradient of the term with respect to the logits of each run; rows that take no part
     * get 0.
     *
     * @param gradFirst [B,L,V] of the logits' dtype, {@code null} if not wanted; it may be the
     *     logits themselves
     * @param gradLast the same for the last run
     * @return this
     */
    public LongShort gradients(Tensor gradFirst, Tensor gradLast) {
        this.gradFirst = gradFirst;
        this.gradLast = gradLast;
        return this;
    }

    /**
     * Wants the gradient of the term with respect to stacked logits.
     *
     * @param gradient [2B,L,V] of the logits' dtype; it may be the logits themselves
     * @return this
     */
    public LongShort gradient(Tensor gradient) {
        requireSequences("gradient", gradient);
        return gradients(half("gradient", gradient, 0), half("gradient", gradient, 1));
    }

    /**
     * Computes the term.
     *
     * @param backend what computes
     * @return coefficient times divergence, to be added to the training loss
     * @throws IllegalArgumentException if an argument is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed
     */
    public double run(Backend backend) {
        Objects.requireNonNull(backend, "backend");
        try (Arena arena = Arena.ofConfined()) {
            long sequences = first.size(0);
            long length = first.size(1);
            long from = positions == Positions.LAST ? length - 1 : extra;
            int perSequence = Math.toIntExact(length - from);
            long[] firstRows = new long[Math.toIntExact(sequences * perSequence)];
            long[] lastRows = new long[firstRows.length];
            for (int k = 0; k < firstRows.length; k++) {
                long token = from + k % perSequence;
                firstRows[k] = k / perSequence * length + token;
                lastRows[k] = firstRows[k] - extra;
            }
            Tensor loss = Tensor.zeros(arena, DType.F64, 1);
            Divergence.of(rows(first), rows(last))
                    .rows(
                            Tensor.of(arena, firstRows, firstRows.length),
                            Tensor.of(arena, lastRows, lastRows.length))
                    .rowWeights(mask)
                    .options(options)
                    .gradLoss(Tensor.of(arena, DType.F64, new double[] {coefficient}, 1))
                    .loss(loss)
                    .gradP(gradFirst == null ? null : rows(gradFirst))
                    .gradQ(gradLast == null ? null : rows(gradLast))
                    .run(backend);
            return coefficient * loss.getDouble(0);
        }
    }

    private static void requireSequences(String name, Tensor tensor) {
        Objects.requireNonNull(tensor, name);
        if (tensor.rank() != 3 || !tensor.isContiguous()) {
            throw new IllegalArgumentException(
                    name + " is " + tensor + ", expected a contiguous tensor of shape [B,L,V]");
        }
    }

    private static Tensor half(String name, Tensor both, int which) {
        if (both.size(0) % 2 != 0) {
            throw new IllegalArgumentException(
                    name + " is " + both + ", expected an even number of sequences");
        }
        long sequences = both.size(0) / 2;
        return both.slice(0, which * sequences, (which + 1) * sequences);
    }

    /** [B*L,V]. */
    private static Tensor rows(Tensor logits) {
        return logits.reshape(logits.size(0) * logits.size(1), logits.size(2));
    }
}
