package dev.logratio.loss;

import dev.logratio.internal.Options;
import dev.logratio.internal.Range;

import java.util.Arrays;
import java.util.Comparator;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * The beta of each batch and the pairs that it learns from, as beta-DPO has them (arXiv
 * 2407.08639): beta grows with the batch's reward gap, and pairs whose gap is unusual are mostly
 * left out.
 *
 * {@snippet file="Examples.java" region="beta-schedule"}
 *
 * <p>The gap M of a pair is its margin {@code D}, chosen minus rejected log-ratio, as in the
 * paper's code; its text has {@code beta0 * D}, the difference of rewards. Either may be given, and
 * alpha is in units of one over it. A schedule keeps two running figures, both 0 at first:
 *
 * <ul>
 *   <li>{@code M0 = m M0 + (1-m) mean(M)}, over all pairs of the batch;
 *   <li>{@code sigma = m sigma + (1-m) std(M)}, the unbiased standard deviation, 0 of a single
 *       pair.
 * </ul>
 *
 * Then, for every batch, with these figures after the batch's own update, as in the paper's code:
 *
 * <ul>
 *   <li>of its P pairs {@code max(1, floor(keep * P))} are drawn without replacement, with
 *       probabilities in proportion to {@code exp(-(M - M0)^2 / (2 sigma^2))}, alike where sigma is
 *       0;
 *   <li>{@code beta = (1 + alpha (mean(M) - M0)) beta0}, the mean over the pairs that were drawn,
 *       and beta at least {@code floor}, which the paper's code has (.001) and its text has not.
 * </ul>
 *
 * <p>What is drawn depends on the seed, the number of the batch and the gaps alone. A schedule is
 * an immutable value: {@link #after} has what follows, and its components are all there is to store
 * in a checkpoint. In training on several processes give each the gaps of all.
 *
 * @param beta beta0, the beta of a batch with the usual gap; finite and &gt; 0
 * @param alpha how much the gap changes beta; finite and &gt;= 0, in the paper's runs .6
 * @param momentum m; in [0,1), in the paper .9
 * @param keep the share of the pairs that is drawn; in (0,1], in the paper .8. 1 draws all
 * @param floor the least beta; finite and &gt; 0
 * @param mean M0; finite, 0 at first
 * @param deviation sigma; finite and &gt;= 0, 0 at first
 * @param seed of the draws
 * @param batches how many batches there were
 * @since 0.1.0
 */
public record BetaSchedule(
        @Range(above = 0) double beta,
        @Range(from = 0) double alpha,
        @Range(from = 0, below = 1) double momentum,
        @Range(above = 0, to = 1) double keep,
        @Range(above = 0) double floor,
        @Range double mean,
        @Range(from = 0) double deviation,
        long seed,
        long batches) {
    /**
     * A new schedule with the paper's numbers: alpha .6, momentum .9, keep .8, floor .001, seed 0.
     *
     * @param beta finite and &gt; 0
     * @throws IllegalArgumentException if a number is out of its range
     */
    public BetaSchedule(double beta) {
        this(beta, .6, .9, .8, 0);
    }

    /**
     * A new schedule.
     *
     * @param beta finite and &gt; 0
     * @param alpha finite and &gt;= 0
     * @param momentum in [0,1)
     * @param keep in (0,1]
     * @param seed of the draws
     * @throws IllegalArgumentException if a number is out of its range
     */
    public BetaSchedule(double beta, double alpha, double momentum, double keep, long seed) {
        this(beta, alpha, momentum, keep, 1e-3, 0, 0, seed, 0);
    }

    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if a number is out of its range
     */
    public BetaSchedule {
        Options.check(
                BetaSchedule.class,
                beta,
                alpha,
                momentum,
                keep,
                floor,
                mean,
                deviation,
                seed,
                batches);
    }

    /**
     * What a batch is computed with.
     *
     * @param beta for all its pairs
     * @param weights of each pair, to be given as pair weights: P over the number of drawn pairs
     *     for these, 0 for the others, so that a mean over the P pairs is the mean over the drawn
     *     ones
     * @param schedule for the next batch
     */
    public record Batch(double beta, double[] weights, BetaSchedule schedule) {}

    /**
     * The next batch.
     *
     * @param gaps of its pairs; finite
     * @return its beta and weights, and the schedule after it
     * @throws IllegalArgumentException if a gap is not finite, or there is none
     */
    public Batch next(double[] gaps) {
        BetaSchedule after = after(gaps);
        int[] drawn = after.draw(gaps);
        double[] weights = new double[gaps.length];
        double sum = 0;
        for (int pair : drawn) {
            weights[pair] = (double) gaps.length / drawn.length;
            sum += gaps[pair];
        }
        return new Batch(after.betaOf(sum / drawn.length), weights, after);
    }

    /**
     * This schedule with the running figures after a batch.
     *
     * @param gaps of its pairs; finite
     * @return the schedule, one batch on
     * @throws IllegalArgumentException if a gap is not finite, or there is none
     */
    public BetaSchedule after(double[] gaps) {
        if (Objects.requireNonNull(gaps, "gaps").length == 0) {
            throw new IllegalArgumentException("gaps are empty, expected those of a batch");
        }
        for (int i = 0; i < gaps.length; i++) {
            if (!Double.isFinite(gaps[i])) {
                throw new IllegalArgumentException(
                        "gaps[" + i + "] is " + gaps[i] + ", expected a finite number");
            }
        }
        double batchMean = Arrays.stream(gaps).sum() / gaps.length;
        double squares =
                Arrays.stream(gaps).map(gap -> (gap - batchMean) * (gap - batchMean)).sum();
        double batchDeviation = gaps.length == 1 ? 0 : Math.sqrt(squares / (gaps.length - 1));
        return new BetaSchedule(
                beta,
                alpha,
                momentum,
                keep,
                floor,
                momentum * mean + (1 - momentum) * batchMean,
                momentum * deviation + (1 - momentum) * batchDeviation,
                seed,
                batches + 1);
    }

    /**
     * The beta of a gap with the figures as they are. Of each pair's own gap it is the paper's beta
     * of single pairs, for a tensor [P], which it finds less stable than that of a batch.
     *
     * @param gap the mean over a batch, or a pair's own
     * @return {@code (1 + alpha (gap - M0)) beta0}, at least {@code floor}
     */
    public double betaOf(double gap) {
        return Math.max(floor, (1 + alpha * (gap - mean)) * beta);
    }

    /**
     * The largest of the logarithms of the weights, each with noise of a Gumbel distribution added:
     * which is to draw one after the other, each from those that are left.
     */
    private int[] draw(double[] gaps) {
        int count = Math.max(1, (int) (keep * gaps.length));
        // A stream of its own for each batch: those of neighbouring seeds overlap.
        long start = new SplittableRandom(seed).nextLong() + batches;
        SplittableRandom random = new SplittableRandom(new SplittableRandom(start).nextLong());
        double[] keys = new double[gaps.length];
        for (int i = 0; i < gaps.length; i++) {
            double off = deviation == 0 ? 0 : (gaps[i] - mean) / deviation;
            double noise = -Math.log(-Math.log(random.nextDouble(Double.MIN_NORMAL, 1)));
            keys[i] = noise - off * off / 2;
        }
        return IntStream.range(0, gaps.length)
                .boxed()
                .sorted(Comparator.comparingDouble(i -> -keys[i]))
                .limit(count)
                .mapToInt(Integer::intValue)
                .toArray();
    }
}
