package dev.logratio;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.PreferenceStepOperand;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.StepOptions;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.util.List;
import java.util.Objects;

/**
 * The whole chain in one call: logits to losses, the logits' gradient and metrics, with nothing
 * copied in between. The logits are read once forward, and read and written once backward.
 *
 * <p>Inputs: {@code logits} [2P,T,V] (F32, BF16 or F16; the reference also takes F64), already
 * shifted: {@code logits[t]} predicts {@code labels[t]}; {@code labels} [2P,T] int. A token counts
 * if its mask counts and its label is not the ignore index; rows that do not count are not read,
 * nor are their labels, and their gradient is 0. The gradient is that of the mean loss.
 *
 * <p>Rewards are beta times the log-ratio policy/reference, with the beta of the first {@link
 * Loss.Paired}, or else .1. A reference gives them even where no loss looks at it; without one, its
 * log-probs count as 0, and where no loss has a beta there are none: they are 0.
 *
 * <p>With {@link #cuSeqlens} sequences are packed: of any length, one after the other, without
 * padding. Logits are then [N,V] and tensors [2P,T] are [N], N tokens of all sequences, and results
 * are those of the padded call, to the bit.
 *
 * {@snippet file="Examples.java" region="step"}
 *
 * @since 0.1.0
 */
public final class PreferenceStep {
    private final Call call;

    private PreferenceStep(List<WeightedLoss> terms, Tensor logits, Tensor labels) {
        Objects.requireNonNull(terms, "losses");
        if (terms.isEmpty()) {
            throw new IllegalArgumentException("losses are empty, expected at least one");
        }
        terms.forEach(term -> Objects.requireNonNull(term, "losses hold null"));
        call =
                new Call(
                        Signature.PREFERENCE_STEP,
                        new StepOptions(List.copyOf(terms)),
                        TokenOptions.DEFAULT,
                        SequenceOptions.DEFAULT);
        call.set(PreferenceStepOperand.LOGITS, logits);
        call.set(PreferenceStepOperand.LABELS, labels);
    }

    /**
     * Describes a call.
     *
     * @param loss the loss and its options
     * @param logits [2P,T,V], or packed [N,V], F32, BF16 or F16; P chosen rows, then P rejected
     * @param labels [2P,T], or [N] if packed, int, in [0,V) or the ignore index
     * @return the operation, with only the metrics wanted yet
     */
    public static PreferenceStep of(Loss.OfStep loss, Tensor logits, Tensor labels) {
        return of(List.of(new WeightedLoss(loss, 1)), logits, labels);
    }

    /**
     * Describes a call with several losses, which add up: {@code sum of weight * mean loss}.
     *
     * @param losses at least one
     * @param logits [2P,T,V], or packed [N,V], F32, BF16 or F16; P chosen rows, then P rejected
     * @param labels [2P,T], or [N] if packed, int, in [0,V) or the ignore index
     * @return the operation, with only the metrics wanted yet
     * @throws IllegalArgumentException if there is no loss
     */
    public static PreferenceStep of(List<WeightedLoss> losses, Tensor logits, Tensor labels) {
        return new PreferenceStep(losses, logits, labels);
    }

    /**
     * Sets the temperature, softcap and ignore index.
     *
     * @param options default {@link TokenOptions#DEFAULT}
     * @return this
     */
    public PreferenceStep tokenOptions(TokenOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets the reduction, tail weight and alignment. A loss that divides by length itself takes no
     * means; nor does {@link dev.logratio.loss.Sft}.
     *
     * @param options default {@link SequenceOptions#DEFAULT}
     * @return this
     */
    public PreferenceStep sequenceOptions(SequenceOptions options) {
        call.option(Objects.requireNonNull(options, "options"));
        return this;
    }

    /**
     * Sets whether every pair is weighed by WPO's weight. Not for losses of ranks, and without
     * effect on {@link dev.logratio.loss.Sft}.
     *
     * @param wpo default off
     * @return this
     */
    public PreferenceStep wpo(Wpo wpo) {
        Objects.requireNonNull(wpo, "wpo");
        call.option(call.option(StepOptions.class).withWpo(wpo));
        return this;
    }

    /**
     * Turns WPO's weights on or off: {@link #wpo(Wpo)}.
     *
     * @param wpo default off
     * @return this
     */
    public PreferenceStep wpo(boolean wpo) {
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
    public PreferenceStep tokenCount(double count) {
        PreferenceStepOperand.POSITIVE.require("token_count", count);
        call.option(call.option(StepOptions.class).withTokenCount(count));
        return this;
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
    public PreferenceStep cuSeqlens(Tensor cuSeqlens) {
        call.set(PreferenceStepOperand.CU_SEQLENS, cuSeqlens);
        return this;
    }

    /**
     * Sets the mask; by default every token whose label is not the ignore index counts 1.
     *
     * @param mask [2P,T], or [N] if packed: BOOL, U8, I64 or I32 (non-zero counts 1), or F32
     *     (weights, finite and &ge; 0)
     * @return this
     */
    public PreferenceStep mask(Tensor mask) {
        call.set(PreferenceStepOperand.MASK, mask);
        return this;
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
    public PreferenceStep pairWeights(Tensor weights) {
        call.set(PreferenceStepOperand.PAIR_WEIGHTS, weights);
        return this;
    }

    /**
     * Sets the upstream gradient of the loss, which scales the gradient on its way, and {@link
     * StepMetrics#gradNorm} with it, but no loss.
     *
     * @param gradLoss [1] float; default 1
     * @return this
     */
    public PreferenceStep gradLoss(Tensor gradLoss) {
        call.set(PreferenceStepOperand.GRAD_LOSS, gradLoss);
        return this;
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
    public PreferenceStep nllMask(Tensor mask) {
        call.set(PreferenceStepOperand.NLL_MASK, mask);
        return this;
    }

    /**
     * Sets the reference's sequence log-probs, used as they are: reduce them with the same mask and
     * options. A loss that has a reference needs these or {@link #referenceTokenLogps}, unless the
     * call is {@link #referenceFree}; others may have one for their rewards.
     *
     * @param referenceLogps [2P] float
     * @return this
     */
    public PreferenceStep referenceLogps(Tensor referenceLogps) {
        call.set(PreferenceStepOperand.REFERENCE_LOGPS, referenceLogps);
        return this;
    }

    /**
     * Sets the reference's token log-probs, which are reduced with the same mask and options. They
     * take the place of {@link #referenceLogps}.
     *
     * @param referenceTokenLogps [2P,T], or [N] if packed, float; read only where a token counts
     * @return this
     */
    public PreferenceStep referenceTokenLogps(Tensor referenceTokenLogps) {
        call.set(PreferenceStepOperand.REFERENCE_TOKEN_LOGPS, referenceTokenLogps);
        return this;
    }

    /**
     * Says that the loss is computed without the reference that it could have: log-probs of 0 stand
     * in its place. Losses that never have one need not say so.
     *
     * @return this
     */
    public PreferenceStep referenceFree() {
        call.referenceFree();
        return this;
    }

    /**
     * Sets beta in place of the option of the one loss, as {@link PairLoss#beta} does; an error
     * beside several losses.
     *
     * @param beta [1] or [P] float; finite and &gt; 0. On a device it is taken as it is
     * @return this
     */
    public PreferenceStep beta(Tensor beta) {
        call.set(PreferenceStepOperand.BETA, beta);
        return this;
    }

    /**
     * Sets betaKl in place of the option of the one loss, as {@link PairLoss#betaKl} does.
     *
     * @param betaKl [1] or [P] float; finite and &gt; 0. On a device it is taken as it is
     * @return this
     */
    public PreferenceStep betaKl(Tensor betaKl) {
        call.set(PreferenceStepOperand.BETA_KL, betaKl);
        return this;
    }

    /**
     * Sets betaMix in place of the option of the one loss, as {@link PairLoss#betaMix} does.
     *
     * @param betaMix [1] or [P] float; finite. On a device it is taken as it is
     * @return this
     */
    public PreferenceStep betaMix(Tensor betaMix) {
        call.set(PreferenceStepOperand.BETA_MIX, betaMix);
        return this;
    }

    /**
     * Sets tau in place of the option of the one loss, as {@link PairLoss#tau} does.
     *
     * @param tau [1] or [P] float; finite and &gt; 0. On a device it is taken as it is
     * @return this
     */
    public PreferenceStep tau(Tensor tau) {
        call.set(PreferenceStepOperand.TAU, tau);
        return this;
    }

    /**
     * Sets the tensor that receives the loss of every pair: the weighted sum where there are
     * several, the mean where a loss has two values per pair.
     *
     * @param out [P] float
     * @return this
     */
    public PreferenceStep losses(Tensor out) {
        call.set(PreferenceStepOperand.LOSSES, out);
        return this;
    }

    /**
     * Sets the tensor that receives the log-prob of every sequence.
     *
     * @param out [2P] float
     * @return this
     */
    public PreferenceStep logps(Tensor out) {
        call.set(PreferenceStepOperand.LOGPS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the sum of the token weights of every sequence.
     *
     * @param out [2P] float
     * @return this
     */
    public PreferenceStep counts(Tensor out) {
        call.set(PreferenceStepOperand.COUNTS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the reward of every chosen sequence.
     *
     * @param out [P] float
     * @return this
     */
    public PreferenceStep chosenRewards(Tensor out) {
        call.set(PreferenceStepOperand.CHOSEN_REWARDS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the reward of every rejected sequence.
     *
     * @param out [P] float
     * @return this
     */
    public PreferenceStep rejectedRewards(Tensor out) {
        call.set(PreferenceStepOperand.REJECTED_REWARDS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the logits' gradient.
     *
     * @param out of the logits' shape and dtype, the last dimension contiguous; the logits
     *     themselves, or memory apart from them
     * @return this
     */
    public PreferenceStep gradLogits(Tensor out) {
        call.set(PreferenceStepOperand.GRAD_LOGITS, out);
        return this;
    }

    /**
     * Sets the tensor that receives the loss's gradient by beta: of its tensor's shape, [1] summed
     * over the pairs. Where beta is no tensor {@link dev.logratio.loss.DiscoPop} alone has it, [1].
     *
     * @param out [1] or [P] float
     * @return this
     */
    public PreferenceStep gradBeta(Tensor out) {
        call.set(PreferenceStepOperand.GRAD_BETA, out);
        return this;
    }

    /**
     * Sets the tensor that receives the loss's gradient by betaKl: of its tensor's shape, [1]
     * summed over the pairs. Where betaKl is no tensor it is [1].
     *
     * @param out [1] or [P] float
     * @return this
     */
    public PreferenceStep gradBetaKl(Tensor out) {
        call.set(PreferenceStepOperand.GRAD_BETA_KL, out);
        return this;
    }

    /**
     * Sets the tensor that receives the loss's gradient by betaMix: of its tensor's shape, [1]
     * summed over the pairs. Where betaMix is no tensor it is [1].
     *
     * @param out [1] or [P] float
     * @return this
     */
    public PreferenceStep gradBetaMix(Tensor out) {
        call.set(PreferenceStepOperand.GRAD_BETA_MIX, out);
        return this;
    }

    /**
     * Sets the tensor that receives the loss's gradient by tau: of its tensor's shape, [1] summed
     * over the pairs. Where tau is no tensor {@link dev.logratio.loss.Dlrml} and {@link
     * dev.logratio.loss.DiscoPop} alone have it, [1].
     *
     * @param out [1] or [P] float
     * @return this
     */
    public PreferenceStep gradTau(Tensor out) {
        call.set(PreferenceStepOperand.GRAD_TAU, out);
        return this;
    }

    /**
     * Writes the gradient over the logits.
     *
     * @return this
     */
    public PreferenceStep inPlace() {
        return gradLogits(call.get(PreferenceStepOperand.LOGITS));
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
