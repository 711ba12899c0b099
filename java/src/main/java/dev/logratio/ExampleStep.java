package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.loss.Kto;

import java.util.Objects;

/**
 * What the steps of single examples have in common: {@link UnpairedStep} on logits, and {@link
 * LinearUnpairedStep} on what logits are made of.
 *
 * @param <S> the step
 * @since 0.1.0
 */
public abstract sealed class ExampleStep<S extends ExampleStep<S>>
        permits UnpairedStep, LinearUnpairedStep {
    final Call call;

    ExampleStep(Call call) {
        this.call = call;
    }

    abstract S self();

    /** Sets the tensor of an operand by its name. */
    final S with(String operand, Tensor tensor) {
        call.set(call.operand(operand), tensor);
        return self();
    }

    /**
     * Sets the temperature, softcap and ignore index.
     *
     * @param options default {@link TokenOptions#DEFAULT}
     * @return this
     */
    public S tokenOptions(TokenOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return self();
    }

    /**
     * Sets the reduction. The tail weight is 1, as no example shares tokens with another, so that
     * nothing else of these options is of use.
     *
     * @param options default {@link SequenceOptions#DEFAULT}
     * @return this
     */
    public S sequenceOptions(SequenceOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return self();
    }

    /**
     * Sets where packed sequences end. Numbers that do not rise from 0 to N are an error; on a
     * device, where they are not looked at before, each is counted as a bad value and every result
     * is NaN.
     *
     * @param cuSeqlens [B+1] int: 0, then where each sequence ends among the N tokens, N last; a
     *     sequence without a token repeats a number
     * @return this
     */
    public S cuSeqlens(Tensor cuSeqlens) {
        return with("cu_seqlens", cuSeqlens);
    }

    /**
     * Sets the mask; by default every token whose label is not the ignore index counts 1.
     *
     * @param mask [B,T], or [N] if packed: BOOL, U8, I64 or I32 (non-zero counts 1), or F32
     *     (weights, finite and &ge; 0)
     * @return this
     */
    public S mask(Tensor mask) {
        return with("mask", mask);
    }

    /**
     * Sets the reference's log-probs of the examples, used as they are: reduce them with the same
     * mask and options. These or {@link #referenceTokenLogps} are needed.
     *
     * @param referenceLogps [B] float
     * @return this
     */
    public S referenceLogps(Tensor referenceLogps) {
        return with("reference_logps", referenceLogps);
    }

    /**
     * Sets the reference's token log-probs, which are reduced with the same mask and options. They
     * take the place of {@link #referenceLogps}.
     *
     * @param referenceTokenLogps [B,T], or [N] if packed, float; read only where a token counts
     * @return this
     */
    public S referenceTokenLogps(Tensor referenceTokenLogps) {
        return with("reference_token_logps", referenceTokenLogps);
    }

    /**
     * Sets the log-probs of mismatched examples (prompts with answers of others), both or none; of
     * {@link Kto}. Its kl is {@code max(0, mean)} of their log-ratios, a constant; without them, or
     * where C = 0, it is 0.
     *
     * @param policyLogps [C] float
     * @param referenceLogps [C] float
     * @return this
     */
    public S klLogps(Tensor policyLogps, Tensor referenceLogps) {
        with("kl_policy_logps", policyLogps);
        return with("kl_reference_logps", referenceLogps);
    }

    /**
     * Sets a weight for each example, by which its loss and its gradient are multiplied, besides
     * the weights of the loss itself. The mean stays one over B, and rewards are not weighed.
     *
     * @param weights [B] float, finite and &ge; 0; default 1 each
     * @return this
     */
    public S weights(Tensor weights) {
        return with("weights", weights);
    }

    /**
     * Sets the upstream gradient of the mean loss, such as a loss scale. It scales the gradient on
     * its way, and nothing else.
     *
     * @param gradLoss [1] float; default 1
     * @return this
     */
    public S gradLoss(Tensor gradLoss) {
        return with("grad_loss", gradLoss);
    }

    /**
     * Sets the tensor that receives the loss of every example, times its weight.
     *
     * @param out [B] float
     * @return this
     */
    public S losses(Tensor out) {
        return with("losses", out);
    }

    /**
     * Sets the tensor that receives the log-prob of every example.
     *
     * @param out [B] float
     * @return this
     */
    public S logps(Tensor out) {
        return with("logps", out);
    }

    /**
     * Sets the tensor that receives the sum of the token weights of every example.
     *
     * @param out [B] float
     * @return this
     */
    public S counts(Tensor out) {
        return with("counts", out);
    }

    /**
     * Sets the tensor that receives the rewards: beta times the log-ratio policy/reference.
     *
     * @param out [B] float
     * @return this
     */
    public S rewards(Tensor out) {
        return with("rewards", out);
    }

    /**
     * Sets the tensor that receives the kl that the loss was computed with; 0 for losses that have
     * none.
     *
     * @param out [1] float
     * @return this
     */
    public S kl(Tensor out) {
        return with("kl", out);
    }

    /**
     * Checks every argument, then computes; nothing is written if a check fails.
     *
     * @param backend computes
     * @return the metrics of the step
     * @throws IllegalArgumentException if an argument is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed
     */
    public UnpairedStepMetrics run(Backend backend) {
        return UnpairedStepMetrics.of(call.runWithMetrics(backend));
    }

    /**
     * As {@link #run}, without the metrics. On CUDA they would have to be waited for: this starts
     * the step and returns, so it can be captured in a graph.
     *
     * @param backend computes
     * @throws IllegalArgumentException if an argument is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed
     */
    public void launch(Backend backend) {
        call.run(backend);
    }

    /**
     * Binds this call to a backend and its tensors, to launch it many times.
     *
     * @param backend computes
     * @return the call; close it
     * @throws IllegalArgumentException if an argument is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed
     */
    public PreparedCall prepare(Backend backend) {
        return new PreparedCall(call.bind(backend));
    }
}
