package dev.logratio.internal.check;

import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.util.List;

/**
 * What a preference step computes beside its token and sequence options.
 *
 * @param losses at least one
 * @param wpo whether pairs are weighed by WPO's weight
 */
public record StepOptions(List<WeightedLoss> losses, boolean wpo) {
    /** Whether one of the losses has a reference. */
    public boolean takesReference() {
        return losses.stream().anyMatch(term -> takesReference(term.loss()));
    }

    static boolean takesReference(Loss loss) {
        return !(loss instanceof Loss.ReferenceFree) && !(loss instanceof Loss.Auxiliary);
    }
}
