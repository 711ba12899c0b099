package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.DataType;

import dev.logratio.Backend;
import dev.logratio.DivergenceOptions;
import dev.logratio.Tensor;
import dev.logratio.TokenOptions;
import dev.logratio.misalignment.LongShort;

import java.util.Map;
import java.util.Objects;

/**
 * The long-short misalignment term (Du et al. 2025, arXiv 2506.11769; {@link LongShort}) as a DJL
 * loss: a coefficient times the divergence of a model's predictions for the same tokens from two
 * lengths of context. {@code new SimpleCompositeLoss().addLoss(new
 * TokenLogprobLoss(backend)).addLoss(new LongShortLoss(e, backend))} adds it to the training loss
 * on the same predictions and labels.
 *
 * <p>The predictions are one array, {@code logits} [2B,L,V] (FLOAT32 or FLOAT16, on the CPU): rows
 * 0..B-1 are of the first L tokens of each sequence of L+e, rows B..2B-1 of its last L. The labels
 * are [2B,L] (INT64 or INT32); an overlapping row counts unless the first run's label there is the
 * ignore index. If none counts the loss is 0.
 *
 * @since 0.1.0
 */
public final class LongShortLoss extends ExternalLoss {
    private final Backend backend;
    private int extra;
    private DivergenceOptions options = DivergenceOptions.DEFAULT;
    private double coefficient = LongShort.DEFAULT_COEFFICIENT;
    private long ignoreIndex = TokenOptions.DEFAULT.ignoreIndex();

    /**
     * The results of a step.
     *
     * @param loss coefficient times divergence
     * @param gradient of the loss with respect to the logits, with their shape, type and manager;
     *     null if it was not wanted
     */
    public record Step(double loss, NDArray gradient) {}

    /**
     * A loss with the paper's coefficient .1 and symmetric cross entropy.
     *
     * @param extra e, in [1,L)
     * @param backend computes it
     * @throws NullPointerException if the backend is null; the message names it
     */
    public LongShortLoss(int extra, Backend backend) {
        super("long_short");
        this.extra = extra;
        this.backend = Objects.requireNonNull(backend, "backend");
    }

    /**
     * Sets the extra length of the next batches, which the paper {@linkplain LongShort#sampleExtra
     * draws} for each.
     *
     * @param extra e, in [1,L)
     * @return this
     */
    public LongShortLoss extra(int extra) {
        this.extra = extra;
        return this;
    }

    /**
     * Sets the divergence; p is the first run, q the last.
     *
     * @param options default {@link DivergenceOptions#DEFAULT}
     * @return this
     * @throws NullPointerException if the options are null; the message names them
     */
    public LongShortLoss options(DivergenceOptions options) {
        this.options = Objects.requireNonNull(options, "options");
        return this;
    }

    /**
     * Sets what the divergence is multiplied by.
     *
     * @param coefficient finite; default {@value LongShort#DEFAULT_COEFFICIENT}
     * @return this
     */
    public LongShortLoss coefficient(double coefficient) {
        this.coefficient = coefficient;
        return this;
    }

    /**
     * Sets the label of rows that do not count.
     *
     * @param ignoreIndex default -100
     * @return this
     */
    public LongShortLoss ignoreIndex(long ignoreIndex) {
        this.ignoreIndex = ignoreIndex;
        return this;
    }

    /**
     * Computes the loss and its gradient, for training loops that call {@link
     * LogitsGradient#backward} themselves.
     *
     * @param logits [2B,L,V]
     * @param labels [2B,L]
     * @param wantGradient whether to compute the gradient
     * @return the loss and the gradient
     * @throws IllegalArgumentException if an array is wrong, or {@code extra} is out of its range;
     *     the message names it
     * @throws NullPointerException if an array is null; the message names it
     */
    public Step step(NDArray logits, NDArray labels, boolean wantGradient) {
        long start = System.nanoTime();
        DjlTensors.checkLogits(logits, labels);
        NDArray gradient = wantGradient ? DjlTensors.emptyLike(logits) : null;
        try (Tensor x = DjlTensors.view("logits", logits);
                Tensor g = gradient == null ? null : DjlTensors.view("gradient", gradient)) {
            LongShort term =
                    LongShort.ofStacked(x, extra).options(options).coefficient(coefficient);
            if (g != null) {
                term.gradient(g);
            }
            double value;
            try (NDArray counted = overlap(labels);
                    Tensor mask = DjlTensors.view("mask", counted)) {
                value = term.mask(mask).run(backend);
            }
            measured(logits, wantGradient, Map.of("loss", value), start);
            return new Step(value, gradient);
        }
    }

    /** 1 where a row of the first run's labels counts, [B,L-e]. */
    private NDArray overlap(NDArray labels) {
        long sequences = labels.size(0) / 2;
        try (NDArray part = labels.get(new NDIndex(":{}, {}:", sequences, extra));
                NDArray counted = part.neq(ignoreIndex)) {
            return counted.toType(DataType.FLOAT32, true);
        }
    }

    @Override
    Value value(NDList labels, NDList predictions, boolean wantGradient) {
        Step step = step(onlyLogits(predictions), DjlTensors.only("labels", labels), wantGradient);
        return Value.of(step.loss(), step.gradient());
    }
}
