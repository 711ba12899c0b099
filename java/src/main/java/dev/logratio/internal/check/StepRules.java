package dev.logratio.internal.check;

import dev.logratio.SequenceOptions;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.TokenOptions;
import dev.logratio.Wpo;
import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.util.Locale;

/**
 * The rules of a step of pairs, of whose operands these are some.
 *
 * @param rows the first operand, a row for each token
 */
record StepRules(
        Operand rows,
        Operand cuSeqlens,
        Operand labels,
        Operand mask,
        Operand pairWeights,
        Operand nllMask)
        implements Rules {
    @Override
    public void options(Call call) {
        StepOptions step = call.option(StepOptions.class);
        for (int k = 0; k < step.losses().size(); k++) {
            requireAllowed(call, step, step.losses().get(k));
        }
        requireTokenCount(step);
    }

    @Override
    public void presence(Call call) {
        StepOptions step = call.option(StepOptions.class);
        for (WeightedLoss term : step.losses()) {
            if (call.has(pairWeights)) {
                requireOfPairs("pair_weights is given, expected it absent", term);
            }
        }
        if (call.has(nllMask) && !step.hasNll()) {
            throw new IllegalArgumentException(
                    "nll_mask is given, expected it absent as loss "
                            + step.losses().getFirst().loss().id()
                            + " has no negative log-likelihood");
        }
        ParameterTensors.requireOneLoss(call, step.losses().size());
        ParameterTensors.presence(call, step.losses().getFirst().loss());
    }

    @Override
    public void shapes(Call call) {
        Values.hasSequences(cuSeqlens, call, call.get(labels).elementCount());
        StepOptions step = call.option(StepOptions.class);
        for (int k = 0; k < step.losses().size(); k++) {
            if (step.losses().get(k).loss() instanceof Loss.Paired paired) {
                Values.enoughPairs(call, rows, call.size('P'), paired);
            }
        }
        ParameterTensors.shapes(call);
        Values.columns(call, call.option(TokenOptions.class).vocab());
    }

    @Override
    public void values(Call call) {
        long tokens = call.get(labels).elementCount();
        Values.cuSeqlens(cuSeqlens, call.get(cuSeqlens), tokens);
        StridedTensor counting = call.get(mask);
        StridedTensor covering = call.get(nllMask);
        long chosen = covering == null ? 0 : chosenTokens(call);
        Values.labels(
                call,
                labels,
                i -> Values.counts(counting, i) || i < chosen && Values.counts(covering, i));
        Values.weights(mask, counting);
        Values.weights(pairWeights, call.get(pairWeights));
        Values.weights(nllMask, covering, chosen);
        Loss.OfStep first = call.option(StepOptions.class).losses().getFirst().loss();
        ParameterTensors.values(call, first);
    }

    @Override
    public void warn(Call call) {
        StepOptions step = call.option(StepOptions.class);
        for (int k = 0; k < step.losses().size(); k++) {
            GuardWarning.logIfDue(step.losses().get(k).loss(), call);
        }
    }

    /** How many tokens the chosen answers have together, which are the first ones. */
    private long chosenTokens(Call call) {
        StridedTensor ends = call.get(cuSeqlens);
        long pairs = call.size('P');
        if (ends == null) {
            return pairs * call.size('T');
        }
        return Values.isUnread(ends) ? 0 : ends.loadLong(ends.offsetOf(pairs));
    }

    private static void requireTokenCount(StepOptions step) {
        if (step.tokenCount() != 0) {
            StepOptions.TOKEN_COUNT.require("token_count", step.tokenCount());
        }
        if (step.tokenCount() != 0 && !step.hasTokenMean()) {
            throw new IllegalArgumentException(
                    "token_count is "
                            + step.tokenCount()
                            + ", expected it absent as no loss is sft or has the option nll token");
        }
    }

    private static void requireOfPairs(String what, WeightedLoss term) {
        if (term.loss() instanceof Loss.Paired paired && paired.ofRanks()) {
            throw new IllegalArgumentException(
                    what + " as the losses of " + paired.id() + " belong to ranks, not to pairs");
        }
    }

    private static void requireAllowed(Call call, StepOptions step, WeightedLoss term) {
        Reduction reduction = call.option(SequenceOptions.class).reduction();
        if (term.loss().dividesByLength() && reduction == Reduction.MEAN) {
            throw new IllegalArgumentException(
                    "reduction is mean, expected sum as loss "
                            + term.loss().id()
                            + " divides by length itself");
        }
        if (step.wpo() != Wpo.OFF) {
            String word = step.wpo().name().toLowerCase(Locale.ROOT);
            requireOfPairs("wpo is " + word + ", expected it off", term);
        }
    }
}
