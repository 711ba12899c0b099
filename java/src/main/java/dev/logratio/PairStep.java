package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.StepOptions;
import dev.logratio.loss.WeightedLoss;

import java.util.List;
import java.util.Objects;

/**
 * What the steps of pairs have in common: {@link PreferenceStep} on logits, and {@link
 * LinearPreferenceStep} on what logits are made of.
 *
 * @param <S> the step
 * @since 0.1.0
 */
public abstract sealed class PairStep<S extends PairStep<S>>
        permits PreferenceStep, LinearPreferenceStep {
    final Call call;

    PairStep(Call call) {
        this.call = call;
    }

    /** The losses, of which there is one at least, as options. */
    static StepOptions options(List<WeightedLoss> terms) {
        Objects.requireNonNull(terms, "losses");
        if (terms.isEmpty()) {
            throw new IllegalArgumentException("losses are empty, expected at least one");
        }
        terms.forEach(term -> Objects.requireNonNull(term, "losses hold null"));
        return new StepOptions(List.copyOf(terms));
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
     * Sets the reduction, tail weight and alignment. A loss that divides by length itself takes no
     * means; nor does {@link dev.logratio.loss.Sft}.
     *
     * @param options default {@link SequenceOptions#DEFAULT}
     * @return this
     */
    public S sequenceOptions(SequenceOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return self();
    }

    /**
     * Sets whether every pair is weighed by WPO's weight. Not for losses of ranks, and without
     * effect on {@link dev.logratio.loss.Sft}.
     *
     * @param wpo default off
     * @return this
     */
    public S wpo(Wpo wpo) {
        Objects.requireNonNull(wpo, "wpo");
        call.option(call.option(StepOptions.class).withWpo(wpo));
        return self();
    }

    /**
     * Turns WPO's weights on or off: {@link #wpo(Wpo)}.
     *
     * @param wpo default off
     * @return this
     */
    public S wpo(boolean wpo) {
        return wpo(wpo ? Wpo.ON : Wpo.OFF);
    }

    /**
     * Sets what {@link dev.logratio.loss.Sft} and a negative log-likelihood with {@link
     * dev.logratio.loss.Nll#TOKEN} are divided by. A trainer that accumulates the gradients of
     * several batches gives the number of tokens in all of them. An error where no loss is such.
     *
     * @param count in tokens, finite and &gt; 0; default the batch's own
     * @return this
     * @throws IllegalArgumentException if the count is out of its range
     */
    public S tokenCount(double count) {
        StepOptions.TOKEN_COUNT.require("token_count", count);
        call.option(call.option(StepOptions.class).withTokenCount(count));
        return self();
    }

    /**
     * Sets where packed sequences end. Columns of {@link SequenceOptions.Align#ABSOLUTE} count from
     * each sequence's start. Numbers that do not rise from 0 to N are an error; on a device, where
     * they are not looked at before, each is counted as a bad value and every result is NaN.
     *
     * @param cuSeqlens [2P+1] int: 0, then where each sequence ends among the N tokens, N last; a
     *     sequence without a token repeats a number
     * @return this
     */
    public S cuSeqlens(Tensor cuSeqlens) {
        return with("cu_seqlens", cuSeqlens);
    }

    /**
     * Sets the mask; by default every token whose label is not the ignore index counts 1.
     *
     * @param mask [2P,T], or [N] if packed: BOOL, U8, I64 or I32 (non-zero counts 1), or F32
     *     (weights, finite and &ge; 0)
     * @return this
     */
    public S mask(Tensor mask) {
        return with("mask", mask);
    }

    /**
     * Sets weights of the pairs, which multiply their losses and gradients; the mean stays over all
     * pairs. {@link dev.logratio.loss.Sft}, and a negative log-likelihood with {@link
     * dev.logratio.loss.Nll#TOKEN}, is then the sum over pairs of {@code weight * sum(-logp)} over
     * the number of tokens, the same for each and not weighed again. An error with losses of ranks.
     *
     * @param weights [P] float, finite and &ge; 0; default 1 each
     * @return this
     */
    public S pairWeights(Tensor weights) {
        return with("pair_weights", weights);
    }

    /**
     * Sets the upstream gradient of the loss, which scales the gradient on its way, and {@link
     * StepMetrics#gradNorm} with it, but no loss.
     *
     * @param gradLoss [1] float; default 1
     * @return this
     */
    public S gradLoss(Tensor gradLoss) {
        return with("grad_loss", gradLoss);
    }

    /**
     * Sets which tokens of the chosen sequences a negative log-likelihood covers: that of {@link
     * dev.logratio.loss.Sft}, {@link dev.logratio.loss.Cpo} and {@link dev.logratio.loss.Orpo}. It
     * is then the mean over these tokens, to which no tail weight applies. They are read and get a
     * gradient whether or not the mask counts them; counts and metrics do not see them. An error
     * where no loss has one.
     *
     * @param mask [2P,T], or [N] if packed, of the types of {@link #mask}, whose rejected half is
     *     not read; default the mask
     * @return this
     */
    public S nllMask(Tensor mask) {
        return with("nll_mask", mask);
    }

    /**
     * Sets the reference's sequence log-probs, used as they are: reduce them with the same mask and
     * options. A loss that has a reference needs these or {@link #referenceTokenLogps}, unless the
     * call is {@link #referenceFree}; others may have one for their rewards.
     *
     * @param referenceLogps [2P] float
     * @return this
     */
    public S referenceLogps(Tensor referenceLogps) {
        return with("reference_logps", referenceLogps);
    }

    /**
     * Sets the reference's token log-probs, which are reduced with the same mask and options. They
     * take the place of {@link #referenceLogps}.
     *
     * @param referenceTokenLogps [2P,T], or [N] if packed, float; read only where a token counts
     * @return this
     */
    public S referenceTokenLogps(Tensor referenceTokenLogps) {
        return with("reference_token_logps", referenceTokenLogps);
    }

    /**
     * Says that the loss is computed without the reference that it could have: log-probs of 0 stand
     * in its place. Losses that never have one need not say so.
     *
     * @return this
     */
    public S referenceFree() {
        call.referenceFree();
        return self();
    }

    /**
     * Sets beta in place of the option of the one loss, as {@link PairLoss#beta} does; an error
     * beside several losses.
     *
     * @param beta [1] or [P] float; finite and &gt; 0. On a device it is taken as it is
     * @return this
     */
    public S beta(Tensor beta) {
        return with("beta", beta);
    }

    /**
     * Sets betaKl in place of the option of the one loss, as {@link PairLoss#betaKl} does.
     *
     * @param betaKl [1] or [P] float; finite and &gt; 0. On a device it is taken as it is
     * @return this
     */
    public S betaKl(Tensor betaKl) {
        return with("beta_kl", betaKl);
    }

    /**
     * Sets betaMix in place of the option of the one loss, as {@link PairLoss#betaMix} does.
     *
     * @param betaMix [1] or [P] float; finite. On a device it is taken as it is
     * @return this
     */
    public S betaMix(Tensor betaMix) {
        return with("beta_mix", betaMix);
    }

    /**
     * Sets tau in place of the option of the one loss, as {@link PairLoss#tau} does.
     *
     * @param tau [1] or [P] float; finite and &gt; 0. On a device it is taken as it is
     * @return this
     */
    public S tau(Tensor tau) {
        return with("tau", tau);
    }

    /**
     * Sets the tensor that receives the loss of every pair: the weighted sum where there are
     * several, the mean where a loss has two values per pair.
     *
     * @param out [P] float
     * @return this
     */
    public S losses(Tensor out) {
        return with("losses", out);
    }

    /**
     * Sets the tensor that receives the log-prob of every sequence.
     *
     * @param out [2P] float
     * @return this
     */
    public S logps(Tensor out) {
        return with("logps", out);
    }

    /**
     * Sets the tensor that receives the sum of the token weights of every sequence.
     *
     * @param out [2P] float
     * @return this
     */
    public S counts(Tensor out) {
        return with("counts", out);
    }

    /**
     * Sets the tensor that receives the reward of every chosen sequence.
     *
     * @param out [P] float
     * @return this
     */
    public S chosenRewards(Tensor out) {
        return with("chosen_rewards", out);
    }

    /**
     * Sets the tensor that receives the reward of every rejected sequence.
     *
     * @param out [P] float
     * @return this
     */
    public S rejectedRewards(Tensor out) {
        return with("rejected_rewards", out);
    }

    /**
     * Sets the tensor that receives the loss's gradient by beta: of its tensor's shape, [1] summed
     * over the pairs. Where beta is no tensor {@link dev.logratio.loss.DiscoPop} alone has it, [1].
     *
     * @param out [1] or [P] float
     * @return this
     */
    public S gradBeta(Tensor out) {
        return with("grad_beta", out);
    }

    /**
     * Sets the tensor that receives the loss's gradient by betaKl: of its tensor's shape, [1]
     * summed over the pairs. Where betaKl is no tensor it is [1].
     *
     * @param out [1] or [P] float
     * @return this
     */
    public S gradBetaKl(Tensor out) {
        return with("grad_beta_kl", out);
    }

    /**
     * Sets the tensor that receives the loss's gradient by betaMix: of its tensor's shape, [1]
     * summed over the pairs. Where betaMix is no tensor it is [1].
     *
     * @param out [1] or [P] float
     * @return this
     */
    public S gradBetaMix(Tensor out) {
        return with("grad_beta_mix", out);
    }

    /**
     * Sets the tensor that receives the loss's gradient by tau: of its tensor's shape, [1] summed
     * over the pairs. Where tau is no tensor {@link dev.logratio.loss.Dlrml} and {@link
     * dev.logratio.loss.DiscoPop} alone have it, [1].
     *
     * @param out [1] or [P] float
     * @return this
     */
    public S gradTau(Tensor out) {
        return with("grad_tau", out);
    }

    /**
     * Checks every argument, then computes; nothing is written if a check fails.
     *
     * @param backend computes
     * @return the metrics of the step
     * @throws IllegalArgumentException if an argument is wrong; the message names it
     * @throws IllegalStateException if a tensor is closed
     */
    public StepMetrics run(Backend backend) {
        return call.runWithMetrics(backend);
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
