package dev.logratio.trainers.pytorch;

import dev.logratio.Backend;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;
import dev.logratio.TokenOptions;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.util.Arrays;
import java.util.Objects;
import java.util.function.Function;

/**
 * Log-probs of tokens with a gradient, for losses that are written in PyTorch's own operations.
 *
 * <p>The graph is cut in two at the log-probs. They are leaves of the upper part, where PyTorch
 * collects their gradients; {@link #backwardInPlace} or {@link #backward} takes these on, through
 * the logits, to the parameters.
 *
 * <pre>{@code
 * try (TokenLogps tokens = TokenLogps.of(logits, labels)) {
 *     Tensor loss = tokens.logp().mean().neg(); // any formula
 *     loss.backward();
 *     tokens.backwardInPlace();
 * }
 * }</pre>
 *
 * <p>The logits, labels and results must stay open until the second backward pass is over: a {@link
 * PointerScope} that ends before closes them. An instance belongs to one thread at a time.
 *
 * @since 0.1.0
 */
public final class TokenLogps implements AutoCloseable {
    private final Tensor logits;
    private final Tensor labels;
    private final TokenOptions options;
    private final Tensor logp;
    private final Tensor lse;
    private final Tensor entropy;

    private TokenLogps(Tensor logits, Tensor labels, TokenOptions options, boolean withEntropy) {
        this.logits = logits;
        this.labels = labels;
        this.options = options;
        long[] columns = sizes(logits);
        long[] rows = Arrays.copyOf(columns, Math.max(columns.length - 1, 0));
        logp = TorchTensors.empty(logits, ScalarType.Float, sizes(labels));
        // What the backward pass starts from: as Double it loses nothing on the way.
        lse = TorchTensors.empty(logits, ScalarType.Double, rows);
        entropy = withEntropy ? TorchTensors.empty(logits, ScalarType.Double, rows) : null;
    }

    private static long[] sizes(Tensor tensor) {
        try (PointerScope scope = new PointerScope()) {
            return tensor.sizes().vec().get();
        }
    }

    /**
     * Computes log-probs and log-sum-exps with default options.
     *
     * @param logits [N,V] or [B,T,V], Float, BFloat16 or Half
     * @param labels [N] or [B,T], Long or Int; or [N,K] or [B,T,K], K labels per row
     * @return the results; close them
     * @throws IllegalArgumentException if a tensor is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed, or the logits are overwritten
     * @throws NullPointerException if a tensor is null; the message names it
     */
    public static TokenLogps of(Tensor logits, Tensor labels) {
        return of(logits, labels, TokenOptions.DEFAULT, false);
    }

    /**
     * Computes log-probs and log-sum-exps, and entropies if they are wanted.
     *
     * @param logits [N,V] or [B,T,V], Float, BFloat16 or Half
     * @param labels [N] or [B,T], Long or Int; or [N,K] or [B,T,K], K labels per row
     * @param options temperature, softcap, ignore index and vocabulary
     * @param withEntropy whether {@link #entropy} is computed
     * @return the results; close them
     * @throws IllegalArgumentException if a tensor is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed, or the logits are overwritten
     * @throws NullPointerException if an argument is null; the message names it
     */
    public static TokenLogps of(
            Tensor logits, Tensor labels, TokenOptions options, boolean withEntropy) {
        Objects.requireNonNull(options, "options");
        LogitsGradient.requireValues(logits);
        TorchTensors.requireOpen("labels", labels);
        TokenLogps tokens = new TokenLogps(logits, labels, options, withEntropy);
        try {
            tokens.forward();
        } catch (RuntimeException e) {
            tokens.close();
            throw e;
        }
        return tokens;
    }

    private void forward() {
        try (Views views = new Views()) {
            dev.logratio.Tensor x = views.of("logits", logits);
            TokenLogprobs call =
                    TokenLogprobs.of(x, views.of("labels", labels))
                            .tokenOptions(options)
                            .logp(views.of("logp", logp))
                            .lse(views.of("lse", lse));
            if (entropy != null) {
                call.entropy(views.of("entropy", entropy));
            }
            call.run(TorchBackends.on(x.device()));
        }
        logp.set_requires_grad(true);
        lse.set_requires_grad(true);
        if (entropy != null) {
            entropy.set_requires_grad(true);
        }
    }

    /**
     * The log-probs of the labels, in nats, 0 where a label is the ignore index.
     *
     * @return Float, of the labels' shape; a leaf that collects its gradient
     */
    public Tensor logp() {
        return logp;
    }

    /**
     * The log-sum-exps of the rows, whose gradient is that of a z-loss. A row whose label is the
     * ignore index has a value, but takes no gradient.
     *
     * @return Double, [N] or [B,T]; a leaf that collects its gradient
     */
    public Tensor lse() {
        return lse;
    }

    /**
     * The entropies of the rows, in nats. A row whose label is the ignore index has a value, but
     * takes no gradient.
     *
     * @return Double, [N] or [B,T]; a leaf that collects its gradient
     * @throws IllegalStateException if they were not asked for
     */
    public Tensor entropy() {
        if (entropy == null) {
            throw new IllegalStateException(
                    "entropy was not computed; expected of(logits, labels, options, true)");
        }
        return entropy;
    }

    /**
     * Takes the gradients that the log-probs, log-sum-exps and entropies have collected through the
     * logits to the parameters. The gradient of the logits takes as much memory as they do while
     * the call lasts.
     *
     * @throws IllegalArgumentException if the logits need no gradient
     * @throws IllegalStateException if nothing has collected a gradient, a tensor is closed, or the
     *     logits are overwritten
     */
    public void backward() {
        backward(LogitsGradient::beside);
    }

    /**
     * As {@link #backward}, with the gradient written over the logits, whose values are lost; the
     * conditions of {@link StepLoss#backwardInPlace} hold.
     *
     * @throws IllegalArgumentException if the logits need no gradient, or are a leaf of the graph
     * @throws IllegalStateException if nothing has collected a gradient, a tensor is closed, the
     *     logits are overwritten already, or an operation needs them for its own backward pass
     */
    public void backwardInPlace() {
        backward(LogitsGradient::over);
    }

    private void backward(Function<Tensor, LogitsGradient> place) {
        LogitsGradient.requireValues(logits);
        try (PointerScope scope = new PointerScope();
                Views views = new Views()) {
            dev.logratio.Tensor x = views.of("logits", logits);
            TokenLogprobsBackward call =
                    TokenLogprobsBackward.of(x, views.of("labels", labels), views.of("lse", lse))
                            .tokenOptions(options);
            boolean collected = set(call::gradLogp, "the gradient of logp", logp, views);
            collected |= set(call::gradLse, "the gradient of lse", lse, views);
            if (entropy != null
                    && set(call::gradEntropy, "the gradient of entropy", entropy, views)) {
                call.entropy(views.of("entropy", entropy));
                collected = true;
            }
            if (!collected) {
                throw new IllegalStateException(
                        "logp has no gradient; expected the backward pass of a loss of it before");
            }
            LogitsGradient gradient = place.apply(logits);
            Backend backend = TorchBackends.on(x.device());
            call.gradLogits(gradient.view(x, views)).run(backend);
            gradient.backward();
        }
    }

    /** Sets the gradient that a leaf has collected, if it has. */
    private static boolean set(
            Function<dev.logratio.Tensor, TokenLogprobsBackward> setter,
            String name,
            Tensor leaf,
            Views views) {
        Tensor collected = leaf.grad();
        if (!collected.defined()) {
            return false;
        }
        setter.apply(views.of(name, collected));
        return true;
    }

    /** Frees the results; the logits and labels stay. */
    @Override
    public void close() {
        logp.close();
        lse.close();
        if (entropy != null) {
            entropy.close();
        }
    }
}
