package dev.logratio.internal.reference;

import static dev.logratio.internal.Functions.log1mexp;
import static dev.logratio.internal.Functions.product;
import static dev.logratio.internal.Functions.smoothed;
import static dev.logratio.internal.Functions.softplus;

import dev.logratio.internal.Functions.Slope;
import dev.logratio.loss.AlphaPo;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.SimPo;

import java.util.Arrays;
import java.util.function.DoubleUnaryOperator;

/** Losses of the policy's log-probs alone. */
final class ReferenceFreeLosses {
    private ReferenceFreeLosses() {}

    static void evaluate(
            Loss.ReferenceFree loss, Pairs given, double[] upstream, PairGradients out) {
        evaluateWithoutNll(loss, given, upstream, out);
        switch (loss) {
            case Cpo cpo -> addNll(cpo.nll(), cpo.alpha(), given, upstream, out);
            case Orpo orpo -> addNll(orpo.nll(), 1, atMostCertain(given), upstream, out);
            case SimPo simPo -> {}
            case AlphaPo alphaPo -> {}
        }
    }

    /** The same without the negative log-likelihood that is a part of some. */
    static void evaluateWithoutNll(
            Loss.ReferenceFree loss, Pairs given, double[] upstream, PairGradients out) {
        Pairs pairs = loss instanceof Orpo ? atMostCertain(given) : given;
        for (int i = 0; i < pairs.size(); i++) {
            double chosen = pairs.policyChosen()[i];
            double rejected = pairs.policyRejected()[i];
            double chosenLength = loss.dividesByLength() ? pairs.chosenCounts()[i] : 1;
            double rejectedLength = loss.dividesByLength() ? pairs.rejectedCounts()[i] : 1;
            Pair pair = at(loss, pairs.beta(i), chosen / chosenLength, rejected / rejectedLength);
            out.losses[i] = pair.value;
            out.beta[i] = product(upstream[i], pair.ofBeta);
            out.policyChosen[i] = product(upstream[i], pair.ofChosen) / chosenLength;
            out.policyRejected[i] = product(upstream[i], pair.ofRejected) / rejectedLength;
        }
    }

    /** A log-prob above 0 is a rounded 0, and counts as 0. */
    private static Pairs atMostCertain(Pairs pairs) {
        DoubleUnaryOperator atMostZero = logProb -> Math.min(logProb, 0);
        return new Pairs(
                Arrays.stream(pairs.policyChosen()).map(atMostZero).toArray(),
                Arrays.stream(pairs.policyRejected()).map(atMostZero).toArray(),
                pairs.referenceChosen(),
                pairs.referenceRejected(),
                pairs.chosenCounts(),
                pairs.rejectedCounts(),
                pairs.perToken(),
                pairs.parameters());
    }

    /**
     * A pair's loss and its derivatives with respect to the log-probs, each a token where the loss
     * divides by length, and to beta.
     */
    private record Pair(double value, double ofChosen, double ofRejected, double ofBeta) {}

    private static Pair at(Loss.ReferenceFree loss, double beta, double chosen, double rejected) {
        return switch (loss) {
            case SimPo simPo ->
                    ofMargin(
                            beta,
                            chosen - rejected,
                            smoothed(
                                    beta * (chosen - rejected) - simPo.gamma(),
                                    simPo.labelSmoothing()));
            case AlphaPo alphaPo -> alphaPo(alphaPo, beta, chosen, rejected);
            case Cpo cpo ->
                    ofMargin(
                            beta,
                            chosen - rejected,
                            smoothed(beta * (chosen - rejected), cpo.labelSmoothing()));
            case Orpo _ -> oddsRatio(beta, chosen, rejected);
        };
    }

    private static Pair ofMargin(double beta, double margin, Slope function) {
        double slope = beta * function.slope();
        return new Pair(function.value(), slope, -slope, product(margin, function.slope()));
    }

    private static Pair alphaPo(AlphaPo loss, double beta, double chosen, double rejected) {
        double alpha = loss.alpha();
        // exp(-alpha rejected) - exp(-alpha chosen), the larger of the two factored out: both may
        // overflow
        double difference = chosen - rejected;
        double larger = Math.exp(-product(alpha, Math.min(chosen, rejected)));
        double rewards =
                alpha == 0
                        ? difference
                        : product(larger, -Math.expm1(-alpha * Math.abs(difference)))
                                / alpha
                                * Math.signum(difference);
        Slope result = smoothed(beta * rewards - loss.gamma(), loss.labelSmoothing());
        double ofRewards = beta * result.slope();
        return new Pair(
                result.value(),
                product(ofRewards, Math.exp(-product(alpha, chosen))),
                -product(ofRewards, Math.exp(-product(alpha, rejected))),
                product(rewards, result.slope()));
    }

    /** {@code -beta LS(o)}, o the difference of the two log-odds. */
    private static Pair oddsRatio(double beta, double chosen, double rejected) {
        if (chosen == 0 && rejected == 0) {
            return new Pair(
                    beta * Math.log(2),
                    0,
                    0,
                    Math.log(2)); // even odds; their gradient has no limit
        }
        double o = chosen == rejected ? 0 : logOdds(chosen) - logOdds(rejected);
        // The slope of the log-odds at a is 1/(1-exp(a)), and that of -LS(o) is -S(-o); their
        // product is formed as logarithms.
        // Where the chosen log-prob goes to 0, it goes to the odds of the rejected one.
        double ofChosen =
                chosen == 0
                        ? Math.exp(logOdds(rejected))
                        : Math.exp(-softplus(o) - log1mexp(chosen));
        double ofRejected = Math.exp(-softplus(o) - log1mexp(rejected));
        return new Pair(beta * softplus(-o), -beta * ofChosen, beta * ofRejected, softplus(-o));
    }

    private static double logOdds(double logProb) {
        return logProb - log1mexp(logProb);
    }

    /** Adds a multiple of the chosen sequences' negative log-likelihood a token. */
    private static void addNll(
            Nll nll, double weight, Pairs pairs, double[] upstream, PairGradients out) {
        double tokens = 0;
        double logProb = 0;
        double ofMean = 0;
        for (int i = 0; i < pairs.size(); i++) {
            double count = pairs.chosenCounts()[i];
            tokens += count;
            logProb += pairs.perToken() ? pairs.policyChosen()[i] * count : pairs.policyChosen()[i];
            ofMean += upstream[i];
        }
        for (int i = 0; i < pairs.size(); i++) {
            double length = pairs.perToken() ? 1 : pairs.chosenCounts()[i];
            switch (nll) {
                case PAIR -> {
                    out.losses[i] -= weight * pairs.policyChosen()[i] / length;
                    out.policyChosen[i] -= upstream[i] * weight / length;
                }
                case TOKEN -> {
                    double share = pairs.chosenCounts()[i] / length / tokens;
                    out.losses[i] -= weight * logProb / tokens;
                    out.policyChosen[i] -= ofMean * weight * share;
                }
            }
        }
    }
}
