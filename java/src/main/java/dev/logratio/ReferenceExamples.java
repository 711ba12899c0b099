package dev.logratio;

import static dev.logratio.ReferenceMath.bell;
import static dev.logratio.ReferenceMath.logistic;
import static dev.logratio.ReferenceMath.softplus;

import dev.logratio.ReferenceMath.Slope;
import dev.logratio.loss.ApoZeroUnpaired;
import dev.logratio.loss.Bco;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;

/** Losses of single examples. */
final class ReferenceExamples {
    private ReferenceExamples() {}

    /** A loss as a function of the log-ratio of a chosen or a rejected example. */
    static Slope at(Loss.Unpaired loss, boolean chosen, double ratio, double kl) {
        double beta = loss.beta();
        return switch (loss) {
            case Kto kto -> {
                double z = beta * (chosen ? ratio - kl : kl - ratio);
                double weight = chosen ? kto.desirableWeight() : kto.undesirableWeight();
                yield new Slope(weight * logistic(-z), (chosen ? -1 : 1) * weight * beta * bell(z));
            }
            case ApoZeroUnpaired apo -> {
                double z = chosen ? -beta * ratio : beta * ratio;
                yield new Slope(logistic(z), (chosen ? -1 : 1) * beta * bell(z));
            }
            case Bco bco -> {
                double reward = beta * ratio - bco.delta();
                double weight = chosen ? 1 : bco.undesirableWeight();
                double z = chosen ? -reward : reward;
                yield new Slope(
                        ReferenceMath.product(weight, softplus(z)),
                        (chosen ? -1 : 1) * weight * beta * logistic(z));
            }
        };
    }
}
