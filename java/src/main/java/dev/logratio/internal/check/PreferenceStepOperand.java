package dev.logratio.internal.check;

import static dev.logratio.internal.check.Operand.Declaration.gradient;
import static dev.logratio.internal.check.Operand.Declaration.in;
import static dev.logratio.internal.check.Operand.Declaration.out;

import dev.logratio.SequenceOptions;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.TokenOptions;
import dev.logratio.Wpo;
import dev.logratio.internal.Interval;
import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.util.Locale;

/** The operands of {@code preference_step}. */
public enum PreferenceStepOperand implements Operand {
    LOGITS(in(Types.LOGITS, "2P,T,V", "N,V").required()),
    CU_SEQLENS(in(Types.INT, "2P+1").when(Presence.PACKED)),
    LABELS(in(Types.INT, "2P,T", "N").required()),
    MASK(in(Types.MASK, "2P,T", "N").orElse("1 where the label is not the ignore_index")),
    REFERENCE_LOGPS(in(Types.FLOAT, "2P").when(Presence.ONE_REFERENCE)),
    REFERENCE_TOKEN_LOGPS(in(Types.FLOAT, "2P,T", "N").when(Presence.ONE_REFERENCE)),
    PAIR_WEIGHTS(in(Types.FLOAT, "P").orElse("1")),
    GRAD_LOSS(in(Types.FLOAT, "1").orElse("1")),
    NLL_MASK(in(Types.MASK, "2P,T", "N").orElse("the mask")),
    BETA(in(Types.FLOAT, "1|P").when(Presence.OPTION)),
    BETA_KL(in(Types.FLOAT, "1|P").when(Presence.OPTION)),
    BETA_MIX(in(Types.FLOAT, "1|P").when(Presence.OPTION)),
    TAU(in(Types.FLOAT, "1|P").when(Presence.OPTION)),
    LOSSES(out(Types.FLOAT, "P")),
    LOGPS(out(Types.FLOAT, "2P")),
    COUNTS(out(Types.FLOAT, "2P")),
    CHOSEN_REWARDS(out(Types.FLOAT, "P")),
    REJECTED_REWARDS(out(Types.FLOAT, "P")),
    GRAD_LOGITS(gradient(LOGITS)),
    GRAD_BETA(out(Types.FLOAT, "1|P").when(Presence.OPTION_GRADIENT)),
    GRAD_BETA_KL(out(Types.FLOAT, "1|P").when(Presence.OPTION_GRADIENT)),
    GRAD_BETA_MIX(out(Types.FLOAT, "1|P").when(Presence.OPTION_GRADIENT)),
    GRAD_TAU(out(Types.FLOAT, "1|P").when(Presence.OPTION_GRADIENT));

    /** What a count of tokens may be. */
    public static final Interval POSITIVE = new Interval(0, Double.POSITIVE_INFINITY, false, false);

    static final Rules RULES =
            new Rules() {
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
                        if (call.has(PAIR_WEIGHTS)) {
                            requireOfPairs("pair_weights is given, expected it absent", term);
                        }
                    }
                    if (call.has(NLL_MASK) && !step.hasNll()) {
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
                    Values.hasSequences(CU_SEQLENS, call, call.get(LABELS).elementCount());
                    StepOptions step = call.option(StepOptions.class);
                    for (int k = 0; k < step.losses().size(); k++) {
                        if (step.losses().get(k).loss() instanceof Loss.Paired paired) {
                            Values.enoughPairs(call, LOGITS, call.size('P'), paired);
                        }
                    }
                    ParameterTensors.shapes(call);
                    Values.columns(call, call.option(TokenOptions.class).vocab());
                }

                @Override
                public void values(Call call) {
                    long tokens = call.get(LABELS).elementCount();
                    Values.cuSeqlens(CU_SEQLENS, call.get(CU_SEQLENS), tokens);
                    StridedTensor mask = call.get(MASK);
                    StridedTensor nllMask = call.get(NLL_MASK);
                    long chosen = nllMask == null ? 0 : chosenTokens(call);
                    Values.labels(
                            call,
                            LABELS,
                            i -> Values.counts(mask, i) || i < chosen && Values.counts(nllMask, i));
                    Values.weights(MASK, mask);
                    Values.weights(PAIR_WEIGHTS, call.get(PAIR_WEIGHTS));
                    Values.weights(NLL_MASK, nllMask, chosen);
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
            };

    /** How many tokens the chosen answers have together, which are the first ones. */
    private static long chosenTokens(Call call) {
        StridedTensor ends = call.get(CU_SEQLENS);
        long pairs = call.size('P');
        if (ends == null) {
            return pairs * call.size('T');
        }
        return Values.isUnread(ends) ? 0 : ends.loadLong(ends.offsetOf(pairs));
    }

    private static void requireTokenCount(StepOptions step) {
        if (step.tokenCount() != 0) {
            POSITIVE.require("token_count", step.tokenCount());
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

    private final Declaration declaration;

    PreferenceStepOperand(Declaration declaration) {
        this.declaration = declaration;
    }

    @Override
    public Declaration declaration() {
        return declaration;
    }
}
