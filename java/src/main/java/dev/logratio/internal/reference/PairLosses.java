package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.doubles;
import static dev.logratio.internal.reference.Numbers.store;
import static dev.logratio.internal.reference.Numbers.storeAll;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.PairLossOperand;
import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.Loss;

/**
 * The losses of pairs in float64, in plain loops. Where an exponential meets a logistic factor the
 * two are multiplied by adding their logarithms, so that nothing overflows which the product does
 * not; a product of a vanished and an infinite factor is 0, its limit in these losses.
 */
final class PairLosses {
    private PairLosses() {}

    /** {@code pair_loss}. */
    static void run(Call call) {
        Loss.Paired loss = call.option(Loss.Paired.class);
        int count = Math.toIntExact(call.get(PairLossOperand.POLICY_CHOSEN).elementCount());
        Pairs pairs =
                new Pairs(
                        doubles(call.get(PairLossOperand.POLICY_CHOSEN), count, 0),
                        doubles(call.get(PairLossOperand.POLICY_REJECTED), count, 0),
                        doubles(call.get(PairLossOperand.REFERENCE_CHOSEN), count, 0),
                        doubles(call.get(PairLossOperand.REFERENCE_REJECTED), count, 0),
                        doubles(call.get(PairLossOperand.CHOSEN_COUNTS), count, 1),
                        doubles(call.get(PairLossOperand.REJECTED_COUNTS), count, 1),
                        false,
                        PairParameters.of(call, loss, count));
        int losses = loss.lossesPerPair() * count;
        double[] upstream = doubles(call.get(PairLossOperand.GRAD_LOSS), losses, 1.0 / losses);
        PairGradients result = evaluate(loss, pairs, upstream);
        double[] chosenRewards = pairs.rewards(pairs.chosenRatios());
        double[] rejectedRewards = pairs.rewards(pairs.rejectedRatios());
        storeAll(call.get(PairLossOperand.LOSS), result.losses);
        storeAll(call.get(PairLossOperand.CHOSEN_REWARDS), chosenRewards);
        storeAll(call.get(PairLossOperand.REJECTED_REWARDS), rejectedRewards);
        storeAll(call.get(PairLossOperand.GRAD_POLICY_CHOSEN), result.policyChosen);
        storeAll(call.get(PairLossOperand.GRAD_POLICY_REJECTED), result.policyRejected);
        storeAll(call.get(PairLossOperand.GRAD_REFERENCE_CHOSEN), result.referenceChosen);
        storeAll(call.get(PairLossOperand.GRAD_REFERENCE_REJECTED), result.referenceRejected);
        storeGradient(call.get(PairLossOperand.GRAD_BETA), result.beta);
        storeGradient(call.get(PairLossOperand.GRAD_BETA_KL), result.beta);
        storeGradient(call.get(PairLossOperand.GRAD_BETA_MIX), result.mix);
        storeGradient(call.get(PairLossOperand.GRAD_TAU), result.tau);
    }

    /** Stores the gradient by a parameter: of each pair, or summed in a tensor [1]. */
    static void storeGradient(StridedTensor tensor, double[] gradient) {
        if (tensor == null || tensor.elementCount() != 1) {
            storeAll(tensor, gradient);
            return;
        }
        double sum = 0;
        for (double ofPair : gradient) {
            sum += ofPair;
        }
        store(tensor, 0, sum);
    }

    /**
     * A batch's losses and gradients.
     *
     * @param upstream of each loss
     */
    static PairGradients evaluate(Loss.Paired loss, Pairs pairs, double[] upstream) {
        PairGradients out = new PairGradients(loss.lossesPerPair() * pairs.size(), pairs.size());
        switch (loss) {
            case Loss.OfMargin margin -> DifferenceLosses.evaluate(margin, pairs, upstream, out);
            case Loss.ReferenceFree free ->
                    ReferenceFreeLosses.evaluate(free, pairs, upstream, out);
            case Loss.OfLogRatios ratios -> RatioLosses.evaluate(ratios, pairs, upstream, out);
        }
        return out;
    }
}
