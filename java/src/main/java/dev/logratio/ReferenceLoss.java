package dev.logratio;

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

/**
 * The losses of pairs in float64, in plain loops. Where an exponential meets a logistic factor the
 * two are multiplied by adding their logarithms, so that nothing overflows which the product does
 * not; a product of a vanished and an infinite factor is 0, its limit in these losses.
 */
final class ReferenceLoss {
    private ReferenceLoss() {}

    /**
     * A batch's losses and gradients.
     *
     * @param upstream of each loss
     */
    static ReferenceGradient evaluate(Loss.Paired loss, ReferencePairs pairs, double[] upstream) {
        ReferenceGradient out =
                new ReferenceGradient(loss.lossesPerPair() * pairs.size(), pairs.size());
        switch (loss) {
            case Loss.OfMargin margin -> ReferenceMargin.evaluate(margin, pairs, upstream, out);
            case Loss.ReferenceFree free -> ReferencePolicy.evaluate(free, pairs, upstream, out);
            case NcaPair nca -> ReferenceRatios.evaluate(nca, pairs, upstream, out);
            case BcoPair bco -> ReferenceRatios.evaluate(bco, pairs, upstream, out);
            case SppoHard sppo -> ReferenceRatios.evaluate(sppo, pairs, upstream, out);
            case ApoZero apo -> ReferenceRatios.evaluate(apo, pairs, upstream, out);
            case ApoDown apo -> ReferenceRatios.evaluate(apo, pairs, upstream, out);
            case KtoPair kto -> ReferenceRatios.evaluate(kto, pairs, upstream, out);
            case Aot aot -> ReferenceRanks.evaluate(aot, pairs, upstream, out);
            case AotUnpaired aot -> ReferenceRanks.evaluate(aot, pairs, upstream, out);
            case Dbaql dbaql -> ReferenceDiscovered.evaluate(dbaql, pairs, upstream, out);
            case Aql aql -> ReferenceDiscovered.evaluate(aql, pairs, upstream, out);
            case Aqfl aqfl -> ReferenceDiscovered.evaluate(aqfl, pairs, upstream, out);
            case Padll padll -> ReferenceDiscovered.evaluate(padll, pairs, upstream, out);
            case Cell cell -> ReferenceDiscovered.evaluate(cell, pairs, upstream, out);
            case Pfl pfl -> ReferenceDiscovered.evaluate(pfl, pairs, upstream, out);
        }
        return out;
    }
}
