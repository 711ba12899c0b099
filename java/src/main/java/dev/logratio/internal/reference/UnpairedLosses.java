package dev.logratio.internal.reference;

import static dev.logratio.internal.Functions.bell;
import static dev.logratio.internal.Functions.logistic;
import static dev.logratio.internal.Functions.softplus;
import static dev.logratio.internal.reference.Numbers.doubles;
import static dev.logratio.internal.reference.Numbers.load;
import static dev.logratio.internal.reference.Numbers.store;

import dev.logratio.internal.Functions;
import dev.logratio.internal.Functions.Slope;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.UnpairedLossOperand;
import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.ApoZeroUnpaired;
import dev.logratio.loss.Bco;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;

/** Losses of single examples. */
final class UnpairedLosses {
    private UnpairedLosses() {}

    /** {@code unpaired_loss}. */
    static void run(Call call) {
        Loss.Unpaired loss = call.option(Loss.Unpaired.class);
        StridedTensor policy = call.get(UnpairedLossOperand.POLICY_LOGPS);
        StridedTensor klPolicy = call.get(UnpairedLossOperand.KL_POLICY_LOGPS);
        StridedTensor chosen = call.get(UnpairedLossOperand.CHOSEN);
        int count = Math.toIntExact(policy.elementCount());
        double kl = kl(klPolicy, call.get(UnpairedLossOperand.KL_REFERENCE_LOGPS));
        store(call.get(UnpairedLossOperand.KL), 0, kl);
        for (int i = 0; i < count; i++) {
            double reference = load(call.get(UnpairedLossOperand.REFERENCE_LOGPS), i, 0);
            double ratio = load(policy, i, 0) - reference;
            Slope result = at(loss, load(chosen, i, 0) != 0, ratio, kl);
            double upstream = load(call.get(UnpairedLossOperand.GRAD_LOSS), i, 1.0 / count);
            double gradient = Functions.product(upstream, result.slope());
            store(call.get(UnpairedLossOperand.LOSS), i, result.value());
            store(call.get(UnpairedLossOperand.REWARDS), i, loss.beta() * ratio);
            store(call.get(UnpairedLossOperand.GRAD_POLICY_LOGPS), i, gradient);
            store(call.get(UnpairedLossOperand.GRAD_REFERENCE_LOGPS), i, -gradient);
        }
    }

    /** The mean log-ratio of mismatched examples, at least 0; 0 without them. */
    static double kl(StridedTensor policy, StridedTensor reference) {
        if (policy == null) {
            return 0;
        }
        int count = Math.toIntExact(policy.elementCount());
        double[] ratios =
                Pairs.differences(doubles(policy, count, 0), doubles(reference, count, 0));
        return Math.max(0, Functions.mean(ratios));
    }

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
                        Functions.product(weight, softplus(z)),
                        (chosen ? -1 : 1) * weight * beta * logistic(z));
            }
        };
    }
}
