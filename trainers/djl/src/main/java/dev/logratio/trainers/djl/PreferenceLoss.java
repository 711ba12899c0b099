package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PreferenceStep;
import dev.logratio.SequenceLogps;
import dev.logratio.SequenceOptions;
import dev.logratio.StepMetrics;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenOptions;
import dev.logratio.loss.Loss;
import dev.logratio.trainers.metrics.StepValues;

import java.util.Objects;

/**
 * A preference loss as a DJL loss, on logits as DJL made them: nothing is copied on the way in.
 *
 * <p>The predictions are one array, {@code logits} [2P,T,V] (FLOAT32 or FLOAT16, on the CPU),
 * shifted: {@code logits[t]} predicts {@code labels[t]}; rows 0..P-1 are chosen, P..2P-1 rejected.
 * The labels are {@code labels} [2P,T] (INT64 or INT32, the ignore index where a token does not
 * count) and {@code reference} [2P] (float), the sequence log-probs of the reference model, reduced
 * with the same options: {@link #sequenceLogps} of its logits. A loss that needs none, or that is
 * told so by {@link #referenceFree}, takes the labels alone. {@link ChosenFirstBatchifier} makes
 * batches of this form.
 *
 * @since 0.1.0
 */
public final class PreferenceLoss extends ExternalLoss {
    private final Loss.OfStep loss;
    private final Backend backend;
    private TokenOptions tokenOptions = TokenOptions.DEFAULT;
    private SequenceOptions sequenceOptions = SequenceOptions.DEFAULT;
    private boolean referenceFree;
    private StepMetrics metrics;

    /**
     * The results of a step.
     *
     * @param metrics the loss and the figures that a trainer logs
     * @param gradient of the loss with respect to the logits, with their shape, type and manager;
     *     null if it was not wanted
     */
    public record Step(StepMetrics metrics, NDArray gradient) {}

    /**
     * A loss with default options.
     *
     * @param loss the loss on sequence log-probs
     * @param backend computes it
     * @throws NullPointerException if an argument is null; the message names it
     */
    public PreferenceLoss(Loss.OfStep loss, Backend backend) {
        super(Objects.requireNonNull(loss, "loss").id());
        this.loss = loss;
        this.backend = Objects.requireNonNull(backend, "backend");
    }

    /**
     * Sets the temperature, softcap and ignore index.
     *
     * @param options default {@link TokenOptions#DEFAULT}
     * @return this
     * @throws NullPointerException if the options are null; the message names them
     */
    public PreferenceLoss tokenOptions(TokenOptions options) {
        tokenOptions = Objects.requireNonNull(options, "tokenOptions");
        return this;
    }

    /**
     * Sets how token log-probs become a sequence's.
     *
     * @param options default {@link SequenceOptions#DEFAULT}
     * @return this
     * @throws NullPointerException if the options are null; the message names them
     */
    public PreferenceLoss sequenceOptions(SequenceOptions options) {
        sequenceOptions = Objects.requireNonNull(options, "sequenceOptions");
        return this;
    }

    /**
     * Sets that a loss which compares with a reference does without: the reference's log-probs are
     * taken as 0. A step that gets some is still compared with them.
     *
     * @return this
     */
    public PreferenceLoss referenceFree() {
        referenceFree = true;
        return this;
    }

    /**
     * Computes the log-probs of sequences as the loss reduces them. Those of the reference model's
     * logits are the reference to train against.
     *
     * @param logits [2P,T,V]
     * @param labels [2P,T]
     * @return 2P log-probs, in nats
     * @throws IllegalArgumentException if an array is wrong; the message names it
     * @throws NullPointerException if an array is null; the message names it
     */
    public double[] sequenceLogps(NDArray logits, NDArray labels) {
        DjlTensors.checkLogits(logits, labels);
        long[] shape = labels.getShape().getShape();
        try (NDArray counted = labels.neq(tokenOptions.ignoreIndex());
                Tensor x = DjlTensors.view("logits", logits);
                Tensor y = DjlTensors.view("labels", labels);
                Tensor mask = DjlTensors.view("mask", counted);
                Tensor tokenLogps = Tensor.zeros(DType.F64, shape);
                Tensor logps = Tensor.zeros(DType.F64, shape[0])) {
            TokenLogprobs.of(x, y).tokenOptions(tokenOptions).logp(tokenLogps).run(backend);
            SequenceLogps.of(tokenLogps, mask)
                    .sequenceOptions(sequenceOptions)
                    .logps(logps)
                    .run(backend);
            return logps.toDoubles();
        }
    }

    /**
     * Computes the loss, its gradient and the metrics, for training loops that call {@link
     * LogitsGradient#backward} themselves.
     *
     * @param logits [2P,T,V]
     * @param labels [2P,T]
     * @param reference [2P], or null where the loss needs none
     * @param wantGradient whether to compute the gradient
     * @return the metrics and the gradient
     * @throws IllegalArgumentException if an array is wrong, or the reference is missing; the
     *     message names it
     * @throws NullPointerException if logits or labels are null; the message names them
     */
    public Step step(NDArray logits, NDArray labels, NDArray reference, boolean wantGradient) {
        long start = System.nanoTime();
        DjlTensors.checkLogits(logits, labels);
        if (reference == null && needsReference()) {
            throw new IllegalArgumentException(
                    "reference is missing; expected the reference's log-probs [2P] for loss "
                            + loss.id()
                            + ", or referenceFree()");
        }
        NDArray gradient = wantGradient ? DjlTensors.emptyLike(logits) : null;
        try (Tensor x = DjlTensors.view("logits", logits);
                Tensor y = DjlTensors.view("labels", labels);
                Tensor r = reference == null ? null : DjlTensors.view("reference", reference);
                Tensor g = gradient == null ? null : DjlTensors.view("gradient", gradient);
                Tensor logps = Tensor.zeros(DType.F64, logits.size(0))) {
            PreferenceStep step =
                    PreferenceStep.of(loss, x, y)
                            .tokenOptions(tokenOptions)
                            .sequenceOptions(sequenceOptions)
                            .logps(logps)
                            .gradLogits(g);
            metrics = (r == null ? step.referenceFree() : step.referenceLogps(r)).run(backend);
            measured(logits, wantGradient, StepValues.of(metrics, logps.toDoubles()), start);
        }
        return new Step(metrics, gradient);
    }

    private boolean needsReference() {
        return !referenceFree
                && loss instanceof Loss.Paired
                && !(loss instanceof Loss.ReferenceFree);
    }

    /**
     * Returns the metrics of the last call. One outside a gradient collector computes no gradient,
     * so that its {@code gradNorm} is 0.
     *
     * @return null before the first
     */
    public StepMetrics metrics() {
        return metrics;
    }

    @Override
    Value value(NDList labels, NDList predictions, boolean wantGradient) {
        NDArray logits = onlyLogits(predictions);
        if (labels.size() < 1 || labels.size() > 2) {
            throw new IllegalArgumentException(
                    "labels hold "
                            + labels.size()
                            + " arrays; expected the labels and, where the loss needs it, the"
                            + " reference");
        }
        Step step =
                step(
                        logits,
                        labels.get(0),
                        labels.size() == 2 ? labels.get(1) : null,
                        wantGradient);
        return Value.of(step.metrics().loss(), step.gradient());
    }
}
