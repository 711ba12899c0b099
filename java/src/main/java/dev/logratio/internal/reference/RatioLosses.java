package dev.logratio.internal.reference;

import static dev.logratio.internal.Functions.bell;
import static dev.logratio.internal.Functions.logistic;
import static dev.logratio.internal.Functions.mean;
import static dev.logratio.internal.Functions.product;
import static dev.logratio.internal.Functions.share;
import static dev.logratio.internal.Functions.softplus;
import static dev.logratio.internal.Functions.square;

import dev.logratio.loss.Aot;
import dev.logratio.loss.AotUnpaired;
import dev.logratio.loss.ApoDown;
import dev.logratio.loss.ApoZero;
import dev.logratio.loss.Aqfl;
import dev.logratio.loss.Aql;
import dev.logratio.loss.BcoPair;
import dev.logratio.loss.Cell;
import dev.logratio.loss.Dbaql;
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Loss;
import dev.logratio.loss.NcaPair;
import dev.logratio.loss.Padll;
import dev.logratio.loss.Pfl;
import dev.logratio.loss.SppoHard;

/** Losses of the chosen log-ratio dw and the rejected one dl. */
final class RatioLosses {
    private RatioLosses() {}

    /** A pair's loss and its derivatives. */
    private record Pair(double value, double ofChosen, double ofRejected, double ofBeta) {}

    /** A loss of one pair. */
    private interface OfPair {
        Pair at(double beta, double chosen, double rejected);
    }

    static void evaluate(Loss.OfLogRatios loss, Pairs pairs, double[] upstream, PairGradients out) {
        switch (loss) {
            case NcaPair _ -> eachPair(pairs, upstream, out, RatioLosses::ncaPair);
            case BcoPair bco ->
                    eachPair(pairs, upstream, out, (b, w, l) -> bcoPair(bco.delta(), b, w, l));
            case SppoHard _ -> eachPair(pairs, upstream, out, RatioLosses::sppoHard);
            case ApoZero _ -> eachPair(pairs, upstream, out, RatioLosses::apoZero);
            case ApoDown _ -> eachPair(pairs, upstream, out, RatioLosses::apoDown);
            case KtoPair kto -> evaluate(kto, pairs, upstream, out);
            case Aot aot -> BatchLosses.evaluate(aot, pairs, upstream, out);
            case AotUnpaired aot -> BatchLosses.evaluate(aot, pairs, upstream, out);
            case Dbaql dbaql -> DiscoveredLosses.evaluate(dbaql, pairs, upstream, out);
            case Aql aql -> DiscoveredLosses.evaluate(aql, pairs, upstream, out);
            case Aqfl aqfl -> DiscoveredLosses.evaluate(aqfl, pairs, upstream, out);
            case Padll padll -> DiscoveredLosses.evaluate(padll, pairs, upstream, out);
            case Cell cell -> DiscoveredLosses.evaluate(cell, pairs, upstream, out);
            case Pfl pfl -> DiscoveredLosses.evaluate(pfl, pairs, upstream, out);
        }
    }

    private static Pair ncaPair(double beta, double chosen, double rejected) {
        double slope = .5 * logistic(beta * chosen) - logistic(-beta * chosen);
        return new Pair(
                softplus(-beta * chosen)
                        + .5 * softplus(beta * chosen)
                        + .5 * softplus(beta * rejected),
                beta * slope,
                .5 * beta * logistic(beta * rejected),
                product(chosen, slope) + product(rejected, .5 * logistic(beta * rejected)));
    }

    private static Pair bcoPair(double delta, double beta, double chosen, double rejected) {
        double ofChosen = logistic(delta - beta * chosen);
        double ofRejected = logistic(beta * rejected - delta);
        return new Pair(
                softplus(delta - beta * chosen) + softplus(beta * rejected - delta),
                -beta * ofChosen,
                beta * ofRejected,
                product(rejected, ofRejected) - product(chosen, ofChosen));
    }

    private static Pair sppoHard(double beta, double chosen, double rejected) {
        double target = .5 / beta;
        double ofTarget = 2 * (rejected + target) - 2 * (chosen - target);
        return new Pair(
                square(chosen - target) + square(rejected + target),
                2 * (chosen - target),
                2 * (rejected + target),
                -ofTarget * .5 / square(beta));
    }

    private static Pair apoZero(double beta, double chosen, double rejected) {
        return new Pair(
                logistic(-beta * chosen) + logistic(beta * rejected),
                -beta * bell(beta * chosen),
                beta * bell(beta * rejected),
                product(rejected, bell(beta * rejected)) - product(chosen, bell(beta * chosen)));
    }

    private static Pair apoDown(double beta, double chosen, double rejected) {
        double ofMargin = bell(beta * (chosen - rejected));
        return new Pair(
                logistic(beta * chosen) + logistic(-beta * (chosen - rejected)),
                beta * bell(beta * chosen) - beta * ofMargin,
                beta * ofMargin,
                product(chosen, bell(beta * chosen)) - product(chosen - rejected, ofMargin));
    }

    private static void eachPair(Pairs pairs, double[] upstream, PairGradients out, OfPair loss) {
        double[] chosen = pairs.chosenRatios();
        double[] rejected = pairs.rejectedRatios();
        for (int i = 0; i < pairs.size(); i++) {
            Pair pair = loss.at(pairs.beta(i), chosen[i], rejected[i]);
            out.losses[i] = pair.value;
            out.beta[i] = product(upstream[i], pair.ofBeta);
            out.addRatios(
                    i, product(upstream[i], pair.ofChosen), product(upstream[i], pair.ofRejected));
        }
    }

    /** Two losses per pair, each against the mean log-ratio of the other side. */
    private static void evaluate(KtoPair loss, Pairs pairs, double[] upstream, PairGradients out) {
        int count = pairs.size();
        double[] chosen = pairs.chosenRatios();
        double[] rejected = pairs.rejectedRatios();
        double klOfChosen = Math.max(mean(chosen), 0);
        double klOfRejected = Math.max(mean(rejected), 0);
        double ofKlOfChosen = 0;
        double ofKlOfRejected = 0;
        for (int i = 0; i < count; i++) {
            double beta = pairs.beta(i);
            double desirable = beta * (chosen[i] - klOfRejected);
            double undesirable = beta * (klOfChosen - rejected[i]);
            out.losses[i] = logistic(-desirable);
            out.losses[count + i] = logistic(-undesirable);
            double ofChosen = -product(upstream[i], beta * bell(desirable));
            double ofRejected = product(upstream[count + i], beta * bell(undesirable));
            out.addRatios(i, ofChosen, ofRejected);
            out.beta[i] =
                    product(
                                    upstream[count + i],
                                    product(rejected[i] - klOfChosen, bell(undesirable)))
                            - product(
                                    upstream[i],
                                    product(chosen[i] - klOfRejected, bell(desirable)));
            ofKlOfRejected += share(upstream[i], beta * bell(desirable));
            ofKlOfChosen -= share(upstream[count + i], beta * bell(undesirable));
        }
        boolean chosenCarries =
                !loss.detach() && mean(chosen) >= 0; // at 0 too, as trainers' clamp does
        boolean rejectedCarries = !loss.detach() && mean(rejected) >= 0;
        for (int i = 0; i < count; i++) {
            out.addRatios(
                    i,
                    chosenCarries ? ofKlOfChosen / count : 0,
                    rejectedCarries ? ofKlOfRejected / count : 0);
        }
    }
}
