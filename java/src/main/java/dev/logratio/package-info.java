/**
 * Preference-optimisation losses: {@link dev.logratio.Tensor} holds the data, one class per
 * operation describes a call, and a {@link dev.logratio.Backend} carries it out.
 *
 * <p>The data goes logits [N,V] &rarr; {@link dev.logratio.TokenLogprobs} &rarr; log-probs per
 * token &rarr; {@link dev.logratio.SequenceLogps} &rarr; log-probs per sequence &rarr; {@link
 * dev.logratio.PairLoss} &rarr; losses, and the gradient comes back the same way through {@link
 * dev.logratio.TokenLogprobsBackward}. {@link dev.logratio.PreferenceStep} is the whole chain in
 * one call, with nothing copied in between, and {@link dev.logratio.UnpairedStep} that of single
 * examples. {@link dev.logratio.LinearPreferenceStep}, {@link dev.logratio.LinearUnpairedStep} and
 * {@link dev.logratio.LinearTokenLogprobs} start one matrix product earlier, at hidden states and a
 * head's weight, and never hold the logits. {@link dev.logratio.Divergence} and {@link
 * dev.logratio.ScoringRule} are the other operations on rows of logits.
 *
 * <p>An operation is a reusable description: {@code of(...)} takes what is required, setters take
 * the rest and return the operation, {@code run(backend)} checks every argument and then computes.
 * Outputs are tensors that the caller gives; one that is not set, or set to {@code null}, is not
 * computed. A wrong argument is an {@link java.lang.IllegalArgumentException} that names the
 * argument, what it is and what was expected, and nothing has been written then. Argument names in
 * messages are those of the C interface ({@code grad_logp} for {@code gradLogp}). A description may
 * be run by one thread at a time. {@code prepare(backend)} binds it to its tensors, to be run many
 * times at the least cost.
 *
 * <table>
 * <caption>What is here</caption>
 * <tr><th scope="row">data<td>{@link dev.logratio.Tensor}, {@link dev.logratio.DType}, {@link
 *     dev.logratio.Device}
 * <tr><th scope="row">operations<td>{@link dev.logratio.TokenLogprobs}, {@link
 *     dev.logratio.TokenLogprobsBackward}, {@link dev.logratio.SequenceLogps}, {@link
 *     dev.logratio.PairLoss}, {@link dev.logratio.UnpairedLoss}, {@link
 *     dev.logratio.PreferenceStep} with its {@link dev.logratio.StepMetrics}, {@link
 *     dev.logratio.UnpairedStep} with its {@link dev.logratio.UnpairedStepMetrics}, {@link
 *     dev.logratio.LinearTokenLogprobs}, {@link dev.logratio.LinearPreferenceStep} and {@link
 *     dev.logratio.LinearUnpairedStep} with their {@link dev.logratio.LinearPlan}, {@link
 *     dev.logratio.Divergence}, {@link dev.logratio.ScoringRule}; any of them bound as a {@link
 *     dev.logratio.PreparedCall}
 * <tr><th scope="row">beside them<td>{@link dev.logratio.Agreement} of two sets of logits, {@link
 *     dev.logratio.RowFigures}
 * <tr><th scope="row">options<td>{@link dev.logratio.TokenOptions}, {@link
 *     dev.logratio.SequenceOptions}, {@link dev.logratio.LinearOptions}, {@link
 *     dev.logratio.DivergenceOptions}, {@link
 *     dev.logratio.ScoringRuleOptions}; the losses have theirs in {@link dev.logratio.loss}
 * <tr><th scope="row">where they run<td>{@link dev.logratio.Backend}, {@link
 *     dev.logratio.BackendInfo}, {@link dev.logratio.BackendUnavailableException}, {@link
 *     dev.logratio.Logratio}, {@link dev.logratio.DeviceInfo}, {@link dev.logratio.GemmInfo}
 * </table>
 *
 * <p>Letters in shapes: N rows, V vocabulary, H size of a hidden state, B sequences of T tokens, P
 * pairs. Row 0..P-1 of a paired batch is chosen, P..2P-1 rejected. "Float" is F64, F32, BF16 or
 * F16, "int" is I64 or I32, a mask is BOOL, U8 (non-zero counts 1) or F32 (weights, finite and &ge;
 * 0; a token counts if its weight is &gt; 0). All calculations at the level of rows, sequences and
 * pairs are in float64 and are rounded once, to the output's dtype.
 */
@NullMarked
package dev.logratio;

import org.jspecify.annotations.NullMarked;
