package dev.logratio.trainers.pytorch;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * One call of a loss on PyTorch's tensors: from logits to the gradients of the parameters behind
 * them, and the metrics that a trainer logs.
 *
 * <p>Every tensor and option of the library's own step can be given, under its own name, and is
 * checked there: {@link #tensor} and {@link #options}. The tensors lie where the logits do, in host
 * memory or on a CUDA device, whose current stream does the work then.
 *
 * <p>An instance is for one call of {@link #evaluate}, {@link #backward} or {@link
 * #backwardInPlace}, and for one thread.
 *
 * @param <S> the library's step: {@link dev.logratio.PreferenceStep} or {@link
 *     dev.logratio.UnpairedStep}
 * @param <M> its metrics
 * @param <T> the loss itself
 * @since 0.1.0
 */
public abstract sealed class StepLoss<S, M, T extends StepLoss<S, M, T>>
        permits PreferenceLoss, UnpairedLoss {
    private record Input<S>(
            String name, BiFunction<S, dev.logratio.Tensor, S> setter, Tensor tensor) {}

    private final Tensor logits;
    private final List<Input<S>> inputs = new ArrayList<>();
    private final List<Consumer<S>> options = new ArrayList<>();

    StepLoss(Tensor logits) {
        this.logits = Objects.requireNonNull(logits, "logits");
    }

    /** The library's step on a view of the logits, with nothing else set. */
    abstract S step(dev.logratio.Tensor ofLogits, Views views);

    abstract void setGradient(S step, dev.logratio.Tensor gradient);

    abstract M run(S step, dev.logratio.Backend backend);

    abstract T self();

    /**
     * Sets a tensor of the step, an input or one that receives an output: {@code tensor("mask",
     * PreferenceStep::mask, mask)}.
     *
     * @param name names the tensor in error messages
     * @param setter of the step
     * @param tensor what the setter asks for; not used after the call
     * @return this
     * @throws NullPointerException if an argument is null; the message names it
     */
    public T tensor(String name, BiFunction<S, dev.logratio.Tensor, S> setter, Tensor tensor) {
        inputs.add(
                new Input<>(
                        Objects.requireNonNull(name, "name"),
                        Objects.requireNonNull(setter, "setter"),
                        Objects.requireNonNull(tensor, name)));
        return self();
    }

    /**
     * Sets options of the step: {@code options(step -> step.wpo(true))}.
     *
     * @param setters calls the step's setters of options; default none
     * @return this
     * @throws NullPointerException if the argument is null; the message names it
     */
    public T options(Consumer<S> setters) {
        options.add(Objects.requireNonNull(setters, "setters"));
        return self();
    }

    /**
     * Computes the metrics alone, without a gradient.
     *
     * @return the metrics
     * @throws IllegalArgumentException if an argument is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed, or the logits are overwritten
     */
    public M evaluate() {
        return call(null);
    }

    /**
     * Computes the loss and its gradient, and runs PyTorch's backward pass from the logits with it.
     * The gradient takes as much memory as the logits do while the call lasts; the logits keep
     * their values.
     *
     * @return the metrics
     * @throws IllegalArgumentException if an argument is wrong, or the logits need no gradient; the
     *     message names it
     * @throws IllegalStateException if a tensor is closed, or the logits are overwritten
     */
    public M backward() {
        return call(LogitsGradient::beside);
    }

    /**
     * As {@link #backward}, with the gradient written over the logits: nothing of their size is
     * allocated. Their values are lost, and a further call on them is refused.
     *
     * <p>The logits must be the output of an operation that does not need it again in its own
     * backward pass. A linear layer, a matrix product, a sum, a scaling or a change of type are
     * such; {@code tanh} (a softcap), {@code exp} and {@code softmax} are not, and PyTorch itself
     * finds that out during the backward pass, before any gradient goes further. (The softcap of
     * {@link dev.logratio.TokenOptions} is part of the loss and has no such limit.)
     *
     * <p>A slice such as {@code logits.narrow(1, 0, T - 1)} is right but not free: PyTorch's
     * backward pass of a slice allocates the gradient of the whole. Give the whole logits, and
     * labels whose last column is the ignore index.
     *
     * @return the metrics
     * @throws IllegalArgumentException if an argument is wrong, or the logits need no gradient or
     *     are a leaf of the graph; the message names it, and the logits keep their values
     * @throws IllegalStateException if a tensor is closed, the logits are overwritten already, or
     *     an operation needs them for its own backward pass
     */
    public M backwardInPlace() {
        return call(LogitsGradient::over);
    }

    private M call(Function<Tensor, LogitsGradient> place) {
        LogitsGradient.requireValues(logits);
        try (PointerScope scope = new PointerScope();
                Views views = new Views()) {
            dev.logratio.Tensor ofLogits = views.of("logits", logits);
            S step = step(ofLogits, views);
            options.forEach(setters -> setters.accept(step));
            for (Input<S> input : inputs) {
                input.setter().apply(step, views.of(input.name(), input.tensor()));
            }
            if (place == null) {
                return run(step, TorchBackends.on(ofLogits.device()));
            }
            LogitsGradient gradient = place.apply(logits);
            setGradient(step, gradient.view(ofLogits, views));
            M metrics = run(step, TorchBackends.on(ofLogits.device()));
            gradient.backward();
            return metrics;
        }
    }
}
