package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;
import dev.logratio.TokenOptions;

import java.util.Map;
import java.util.Objects;

/**
 * Supervised training: the mean negative log-prob of the tokens that count, as a DJL loss.
 *
 * <p>The predictions are one array, {@code logits} [N,V] or [B,T,V] (FLOAT32 or FLOAT16, on the
 * CPU), the labels one of INT64 or INT32 of shape [N] or [B,T], the ignore index where a token does
 * not count. If none counts the loss is 0.
 *
 * @since 0.1.0
 */
public final class TokenLogprobLoss extends ExternalLoss {
    private final Backend backend;
    private TokenOptions options = TokenOptions.DEFAULT;

    /**
     * The results of a step.
     *
     * @param loss mean negative log-prob, in nats per token
     * @param gradient of the loss with respect to the logits, with their shape, type and manager;
     *     null if it was not wanted
     */
    public record Step(double loss, NDArray gradient) {}

    /**
     * A loss with default options.
     *
     * @param backend computes it
     * @throws NullPointerException if the backend is null; the message names it
     */
    public TokenLogprobLoss(Backend backend) {
        super("token_nll");
        this.backend = Objects.requireNonNull(backend, "backend");
    }

    /**
     * Sets the temperature, softcap and ignore index.
     *
     * @param options default {@link TokenOptions#DEFAULT}
     * @return this
     * @throws NullPointerException if the options are null; the message names them
     */
    public TokenLogprobLoss options(TokenOptions options) {
        this.options = Objects.requireNonNull(options, "options");
        return this;
    }

    /**
     * Computes the loss and its gradient, for training loops that call {@link
     * LogitsGradient#backward} themselves.
     *
     * @param logits [N,V] or [B,T,V]
     * @param labels [N] or [B,T]
     * @param wantGradient whether to compute the gradient
     * @return the loss and the gradient
     * @throws IllegalArgumentException if an array is wrong; the message names it
     * @throws NullPointerException if an array is null; the message names it
     */
    public Step step(NDArray logits, NDArray labels, boolean wantGradient) {
        long start = System.nanoTime();
        DjlTensors.checkLogits(logits, labels);
        long[] shape = labels.getShape().getShape();
        NDArray gradient = wantGradient ? DjlTensors.emptyLike(logits) : null;
        try (Tensor x = DjlTensors.view("logits", logits);
                Tensor y = DjlTensors.view("labels", labels);
                Tensor logp = Tensor.zeros(DType.F64, shape);
                Tensor lse = Tensor.zeros(DType.F64, shape)) {
            TokenLogprobs.of(x, y).tokenOptions(options).logp(logp).lse(lse).run(backend);
            long counted = counted(y);
            double sum = 0;
            for (double value : logp.toDoubles()) {
                sum += value;
            }
            if (wantGradient) {
                try (Tensor g = DjlTensors.view("gradient", gradient);
                        Tensor upstream = Tensor.zeros(DType.F64, shape)) {
                    upstream.fill(counted == 0 ? 0 : -1.0 / counted);
                    TokenLogprobsBackward.of(x, y, lse)
                            .tokenOptions(options)
                            .gradLogp(upstream)
                            .gradLogits(g)
                            .run(backend);
                }
            }
            double loss = counted == 0 ? 0 : -sum / counted;
            measured(logits, wantGradient, Map.of("loss", loss), start);
            return new Step(loss, gradient);
        }
    }

    private long counted(Tensor labels) {
        long counted = 0;
        for (long label : labels.toLongs()) {
            if (label != options.ignoreIndex()) {
                counted++;
            }
        }
        return counted;
    }

    @Override
    Value value(NDList labels, NDList predictions, boolean wantGradient) {
        Step step = step(onlyLogits(predictions), DjlTensors.only("labels", labels), wantGradient);
        return Value.of(step.loss(), step.gradient());
    }
}
