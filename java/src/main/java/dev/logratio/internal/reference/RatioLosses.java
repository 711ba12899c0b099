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
    private record Pair(double value, double ofChosen, double ofRejected) {}

    /** A loss of one pair. */
    private interface OfPair {
        Pair at(double chosen, double rejected);
    }

    static void evaluate(Loss.OfLogRatios loss, Pairs pairs, double[] upstream, PairGradients out) {
        switch (loss) {
            case NcaPair nca -> evaluate(nca, pairs, upstream, out);
            case BcoPair bco -> evaluate(bco, pairs, upstream, out);
            case SppoHard sppo -> evaluate(sppo, pairs, upstream, out);
            case ApoZero apo -> evaluate(apo, pairs, upstream, out);
            case ApoDown apo -> evaluate(apo, pairs, upstream, out);
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

    private static void evaluate(NcaPair loss, Pairs pairs, double[] upstream, PairGradients out) {
        double beta = loss.beta();
        eachPair(
                pairs,
                upstream,
                out,
                (chosen, rejected) ->
                        new Pair(
                                softplus(-beta * chosen)
                                        + .5 * softplus(beta * chosen)
                                        + .5 * softplus(beta * rejected),
                                beta * (.5 * logistic(beta * chosen) - logistic(-beta * chosen)),
                                .5 * beta * logistic(beta * rejected)));
    }

    private static void evaluate(BcoPair loss, Pairs pairs, double[] upstream, PairGradients out) {
        double beta = loss.beta();
        double delta = loss.delta();
        eachPair(
                pairs,
                upstream,
                out,
                (chosen, rejected) ->
                        new Pair(
                                softplus(delta - beta * chosen) + softplus(beta * rejected - delta),
                                -beta * logistic(delta - beta * chosen),
                                beta * logistic(beta * rejected - delta)));
    }

    private static void evaluate(SppoHard loss, Pairs pairs, double[] upstream, PairGradients out) {
        double target = .5 / loss.beta();
        eachPair(
                pairs,
                upstream,
                out,
                (chosen, rejected) ->
                        new Pair(
                                square(chosen - target) + square(rejected + target),
                                2 * (chosen - target),
                                2 * (rejected + target)));
    }

    private static void evaluate(ApoZero loss, Pairs pairs, double[] upstream, PairGradients out) {
        double beta = loss.beta();
        eachPair(
                pairs,
                upstream,
                out,
                (chosen, rejected) ->
                        new Pair(
                                logistic(-beta * chosen) + logistic(beta * rejected),
                                -beta * bell(beta * chosen),
                                beta * bell(beta * rejected)));
    }

    private static void evaluate(ApoDown loss, Pairs pairs, double[] upstream, PairGradients out) {
        double beta = loss.beta();
        eachPair(
                pairs,
                upstream,
                out,
                (chosen, rejected) -> {
                    double ofMargin = beta * bell(beta * (chosen - rejected));
                    return new Pair(
                            logistic(beta * chosen) + logistic(-beta * (chosen - rejected)),
                            beta * bell(beta * chosen) - ofMargin,
                            ofMargin);
                });
    }

    private static void eachPair(Pairs pairs, double[] upstream, PairGradients out, OfPair loss) {
        double[] chosen = pairs.chosenRatios();
        double[] rejected = pairs.rejectedRatios();
        for (int i = 0; i < pairs.size(); i++) {
            Pair pair = loss.at(chosen[i], rejected[i]);
            out.losses[i] = pair.value;
            out.addRatios(
                    i, product(upstream[i], pair.ofChosen), product(upstream[i], pair.ofRejected));
        }
    }

    /** Two losses per pair, each against the mean log-ratio of the other side. */
    private static void evaluate(KtoPair loss, Pairs pairs, double[] upstream, PairGradients out) {
        int count = pairs.size();
        double beta = loss.beta();
        double[] chosen = pairs.chosenRatios();
        double[] rejected = pairs.rejectedRatios();
        double klOfChosen = Math.max(mean(chosen), 0);
        double klOfRejected = Math.max(mean(rejected), 0);
        double ofKlOfChosen = 0;
        double ofKlOfRejected = 0;
        for (int i = 0; i < count; i++) {
            double desirable = beta * (chosen[i] - klOfRejected);
            double undesirable = beta * (klOfChosen - rejected[i]);
            out.losses[i] = logistic(-desirable);
            out.losses[count + i] = logistic(-undesirable);
            double ofChosen = -product(upstream[i], beta * bell(desirable));
            double ofRejected = product(upstream[count + i], beta * bell(undesirable));
            out.addRatios(i, ofChosen, ofRejected);
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
