package dev.logratio.internal.check;

import dev.logratio.Wpo;
import dev.logratio.internal.Interval;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.Sft;
import dev.logratio.loss.WeightedLoss;

import java.util.List;

/**
 * What a preference step computes beside its token and sequence options.
 *
 * @param losses at least one
 * @param wpo whether pairs are weighed by WPO's weight
 * @param tokenCount what means over the batch's chosen tokens are divided by; 0 for their number
 */
public record StepOptions(List<WeightedLoss> losses, Wpo wpo, double tokenCount) {
    /** What a count of tokens may be. */
    public static final Interval TOKEN_COUNT =
            new Interval(0, Double.POSITIVE_INFINITY, false, false);

    /** Losses alone. */
    public StepOptions(List<WeightedLoss> losses) {
        this(losses, Wpo.OFF, 0);
    }

    /** The same with WPO's weights, or without. */
    public StepOptions withWpo(Wpo weighed) {
        return new StepOptions(losses, weighed, tokenCount);
    }

    /** The same with another divisor. */
    public StepOptions withTokenCount(double count) {
        return new StepOptions(losses, wpo, count);
    }

    /** Whether one of the losses has a reference. */
    public boolean takesReference() {
        return losses.stream().anyMatch(term -> takesReference(term.loss()));
    }

    static boolean takesReference(Loss loss) {
        return !(loss instanceof Loss.ReferenceFree) && !(loss instanceof Loss.Auxiliary);
    }

    /** Whether a negative log-likelihood of the chosen sequences is, or is part of, a loss. */
    public boolean hasNll() {
        return losses.stream().anyMatch(term -> hasNll(term.loss()));
    }

    /** The same of one loss. */
    public static boolean hasNll(Loss loss) {
        return loss instanceof Sft || nll(loss) != null;
    }

    /** Whether one is a mean over all chosen tokens of the batch. */
    public boolean hasTokenMean() {
        return losses.stream().anyMatch(t -> t.loss() instanceof Sft || nll(t.loss()) == Nll.TOKEN);
    }

    /** Which mean the negative log-likelihood is that is part of a loss; null if none is. */
    public static Nll nll(Loss loss) {
        return switch (loss) {
            case Cpo cpo -> cpo.nll();
            case Orpo orpo -> orpo.nll();
            default -> null;
        };
    }
}
