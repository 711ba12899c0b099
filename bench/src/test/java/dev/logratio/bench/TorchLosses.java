package dev.logratio.bench;

import dev.logratio.loss.AlphaPo;
import dev.logratio.loss.Aot;
import dev.logratio.loss.AotUnpaired;
import dev.logratio.loss.ApoDown;
import dev.logratio.loss.ApoZero;
import dev.logratio.loss.ApoZeroUnpaired;
import dev.logratio.loss.Aqfl;
import dev.logratio.loss.Aql;
import dev.logratio.loss.Bco;
import dev.logratio.loss.BcoPair;
import dev.logratio.loss.Cell;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Dbaql;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.DiscoveredVariant;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.ExoPair;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Guard;
import dev.logratio.loss.Hinge;
import dev.logratio.loss.Ipo;
import dev.logratio.loss.Kto;
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Loss;
import dev.logratio.loss.NcaPair;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.Padll;
import dev.logratio.loss.Pfl;
import dev.logratio.loss.Robust;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.SigmoidNorm;
import dev.logratio.loss.SimPo;
import dev.logratio.loss.SppoHard;
import dev.logratio.loss.Variant;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/**
 * Every loss as a trainer writes it with eager tensors: no stable forms, autograd for the
 * gradients.
 */
final class TorchLosses {
    private TorchLosses() {}

    /** A batch of pairs, [P] each: log-probs of the policy and the reference, and token counts. */
    record Pairs(Tensor lw, Tensor ll, Tensor rw, Tensor rl, Tensor nw, Tensor nl) {
        Tensor dw() {
            return lw.sub(rw);
        }

        Tensor dl() {
            return ll.sub(rl);
        }

        Tensor margin() {
            return dw().sub(dl());
        }
    }

    /** The losses [P], of kto_pair [2P]. */
    static Tensor of(Loss.Paired loss, Pairs pairs) {
        return switch (loss) {
            case Loss.OfMargin ofMargin -> ofMargin(ofMargin, pairs);
            case Loss.ReferenceFree free -> ofPolicy(free, pairs);
            case NcaPair nca ->
                    minusLogSigmoid(times(pairs.dw(), nca.beta()))
                            .add(times(minusLogSigmoid(times(pairs.dw(), -nca.beta())), .5))
                            .add(times(minusLogSigmoid(times(pairs.dl(), -nca.beta())), .5));
            case BcoPair bco ->
                    minusLogSigmoid(plus(times(pairs.dw(), bco.beta()), -bco.delta()))
                            .add(
                                    minusLogSigmoid(
                                            plus(times(pairs.dl(), bco.beta()), -bco.delta())
                                                    .neg()));
            case SppoHard sppo ->
                    plus(pairs.dw(), -.5 / sppo.beta())
                            .square()
                            .add(plus(pairs.dl(), .5 / sppo.beta()).square());
            case ApoZero apo ->
                    one().sub(times(pairs.dw(), apo.beta()).sigmoid())
                            .add(times(pairs.dl(), apo.beta()).sigmoid());
            case ApoDown apo ->
                    times(pairs.dw(), apo.beta())
                            .sigmoid()
                            .add(one())
                            .sub(times(pairs.margin(), apo.beta()).sigmoid());
            case Aot aot ->
                    smoothed(
                            times(
                                    sorted(pairs.lw.sub(pairs.ll))
                                            .sub(sorted(pairs.rw.sub(pairs.rl))),
                                    aot.beta()),
                            aot.labelSmoothing());
            case AotUnpaired aot ->
                    smoothed(
                            times(sorted(pairs.dw()).sub(sorted(pairs.dl())), aot.beta()),
                            aot.labelSmoothing());
            case KtoPair kto -> ktoPair(kto, pairs);
            case Dbaql dbaql -> dbaql(dbaql, pairs.margin());
            case Aql aql -> aql(aql, pairs.margin());
            case Aqfl aqfl -> aqfl(aqfl, pairs.margin());
            case Padll padll ->
                    times(
                            one().sub(
                                            times(
                                                    pairs.margin()
                                                            .lt(new Scalar(0))
                                                            .to(torch.ScalarType.Double),
                                                    .5))
                                    .mul(minusLogSigmoid(times(pairs.margin(), padll.beta()))),
                            .9);
            case Cell cell -> {
                Tensor y = times(pairs.margin(), cell.beta());
                yield times(y.neg().exp().add(minusLogSigmoid(y)), .5);
            }
            case Pfl pfl -> {
                Tensor y =
                        times(
                                pairs.margin(),
                                switch (pfl.variant()) {
                                    case REPO -> pfl.beta();
                                    case OLD -> 1;
                                    case PAPER -> pfl.beta() / pfl.tau();
                                });
                yield torch.where(
                        pairs.lw.gt(pairs.ll),
                        times(minusLogSigmoid(y), .5),
                        times(one().sub(y).relu(), 2));
            }
        };
    }

    private static Tensor ofMargin(Loss.OfMargin loss, Pairs pairs) {
        Tensor chosen = score(loss.fDivergence(), pairs.dw());
        Tensor rejected = score(loss.fDivergence(), pairs.dl());
        Tensor margin =
                loss.dividesByLength()
                        ? chosen.div(pairs.nw).sub(rejected.div(pairs.nl))
                        : chosen.sub(rejected);
        return switch (loss) {
            case Dlrml l -> {
                double least =
                        l.guard() == Guard.CLAMP ? l.tau() * l.betaKl() : Double.NEGATIVE_INFINITY;
                yield TorchFormulas.blend(
                        times(margin, l.betaKl()),
                        times(margin, Math.max(l.betaMix(), least) / l.tau()).sigmoid());
            }
            case DiscoPop l ->
                    TorchFormulas.blend(
                            times(margin, l.beta()),
                            times(margin, l.variant() == Variant.OLD ? 1 : l.beta() / l.tau())
                                    .sigmoid());
            case Sigmoid l -> smoothed(times(margin, l.beta()), l.labelSmoothing());
            case SigmoidNorm l -> minusLogSigmoid(times(margin, l.beta()));
            case Hinge l -> one().sub(times(margin, l.beta())).relu();
            case Ipo l -> plus(margin, -1 / (2 * l.beta())).square();
            case ExoPair l -> {
                Tensor z = times(margin, l.beta());
                Tensor towards =
                        z.sigmoid()
                                .mul(plus(torch.log_sigmoid(z), -Math.log1p(-l.labelSmoothing())));
                yield towards.add(
                        z.neg()
                                .sigmoid()
                                .mul(
                                        plus(
                                                torch.log_sigmoid(z.neg()),
                                                -Math.log(l.labelSmoothing()))));
            }
            case Robust l -> {
                Tensor z = times(margin, l.beta());
                double e = l.labelSmoothing();
                yield times(
                        times(torch.log_sigmoid(z), e - 1)
                                .add(times(torch.log_sigmoid(z.neg()), e)),
                        1 / (1 - 2 * e));
            }
        };
    }

    private static Tensor ofPolicy(Loss.ReferenceFree loss, Pairs pairs) {
        Tensor aw = pairs.lw.div(pairs.nw);
        Tensor al = pairs.ll.div(pairs.nl);
        return switch (loss) {
            case SimPo l ->
                    smoothed(plus(times(aw.sub(al), l.beta()), -l.gamma()), l.labelSmoothing());
            case AlphaPo l -> {
                Tensor rewards =
                        times(one().sub(times(aw, -l.alpha()).exp()), 1 / l.alpha())
                                .sub(times(one().sub(times(al, -l.alpha()).exp()), 1 / l.alpha()));
                yield smoothed(plus(times(rewards, l.beta()), -l.gamma()), l.labelSmoothing());
            }
            case Cpo l ->
                    smoothed(times(pairs.lw.sub(pairs.ll), l.beta()), l.labelSmoothing())
                            .add(times(nll(l.nll(), pairs), l.alpha()));
            case Orpo l -> {
                Tensor odds =
                        aw.sub(al).sub(one().sub(aw.exp()).log().sub(one().sub(al.exp()).log()));
                yield nll(l.nll(), pairs).add(times(minusLogSigmoid(odds), l.beta()));
            }
        };
    }

    private static Tensor nll(Nll nll, Pairs pairs) {
        return nll == Nll.TOKEN
                ? pairs.lw.sum().div(pairs.nw.sum()).neg()
                : pairs.lw.div(pairs.nw).neg();
    }

    private static Tensor ktoPair(KtoPair loss, Pairs pairs) {
        Tensor ofChosen = pairs.dw().mean().clamp_min(new Scalar(0));
        Tensor ofRejected = pairs.dl().mean().clamp_min(new Scalar(0));
        Tensor chosen = pairs.dw().sub(loss.detach() ? ofRejected.detach() : ofRejected);
        Tensor rejected = (loss.detach() ? ofChosen.detach() : ofChosen).sub(pairs.dl());
        return one().sub(
                        torch.cat(
                                new TensorVector(
                                        times(chosen, loss.beta()).sigmoid(),
                                        times(rejected, loss.beta()).sigmoid())));
    }

    private static Tensor dbaql(Dbaql loss, Tensor margin) {
        Tensor y = times(margin, loss.beta());
        Tensor x = loss.variant() == DiscoveredVariant.OLD ? margin : times(y, 1 / loss.tau());
        Tensor weight = x.var(true).sigmoid();
        return weight.mul(minusLogSigmoid(times(y, 1 / .9)))
                .add(one().sub(weight).mul(times(y, -.9).exp()));
    }

    private static Tensor aql(Aql loss, Tensor margin) {
        Tensor y = times(margin, loss.beta());
        boolean repo = loss.variant() == DiscoveredVariant.REPO;
        Tensor x = repo ? times(y, 1 / loss.tau()) : margin;
        Tensor quantile = plus(times(plus(x.mean().sigmoid(), -.5), .01), .5);
        return blend(y, times(quantile.sub(x), repo ? 1 : loss.beta()).sigmoid());
    }

    private static Tensor aqfl(Aqfl loss, Tensor margin) {
        Tensor y = times(margin, loss.beta());
        Tensor x = loss.variant() == DiscoveredVariant.OLD ? margin : times(y, 1 / loss.tau());
        Tensor wrong = x.neg().sigmoid().mean();
        Tensor anchor;
        if (loss.variant() == DiscoveredVariant.PAPER) {
            Tensor moment = x.var(true).mul(wrong);
            anchor = moment.add(times(x.mean().sub(moment).sigmoid(), .05));
        } else {
            anchor = times(x.std(true).mul(wrong), .95).add(times(x.mean().sigmoid(), .05));
        }
        return blend(y, times(x.sub(anchor).abs(), .1).sigmoid());
    }

    private static Tensor blend(Tensor y, Tensor gate) {
        return gate.mul(minusLogSigmoid(y)).add(one().sub(gate).mul(one().sub(y).relu()));
    }

    /** Losses [B] of examples with log-ratios d; chosen is 1 or 0. */
    static Tensor of(Loss.Unpaired loss, Tensor d, Tensor chosen, double kl) {
        Tensor rejected = one().sub(chosen);
        return switch (loss) {
            case Kto l ->
                    chosen.mul(
                                    times(
                                            one().sub(times(plus(d, -kl), l.beta()).sigmoid()),
                                            l.desirableWeight()))
                            .add(
                                    rejected.mul(
                                            times(
                                                    one().sub(
                                                                    times(
                                                                                    plus(
                                                                                            d.neg(),
                                                                                            kl),
                                                                                    l.beta())
                                                                            .sigmoid()),
                                                    l.undesirableWeight())));
            case ApoZeroUnpaired l ->
                    chosen.mul(one().sub(times(d, l.beta()).sigmoid()))
                            .add(rejected.mul(times(d, l.beta()).sigmoid()));
            case Bco l -> {
                Tensor reward = plus(times(d, l.beta()), -l.delta());
                yield chosen.mul(minusLogSigmoid(reward))
                        .add(
                                rejected.mul(
                                        times(
                                                minusLogSigmoid(reward.neg()),
                                                l.undesirableWeight())));
            }
        };
    }

    static Tensor score(FDivergence divergence, Tensor x) {
        return switch (divergence) {
            case FDivergence.ReverseKl ignored -> x;
            case FDivergence.ForwardKl ignored -> one().sub(x.neg().exp());
            case FDivergence.Js ignored -> plus(torch.log_sigmoid(x), Math.log(2));
            case FDivergence.Alpha(double alpha) ->
                    times(times(x, alpha - 1).expm1(), 1 / (alpha - 1));
        };
    }

    private static Tensor smoothed(Tensor x, double e) {
        return times(minusLogSigmoid(x), 1 - e).add(times(minusLogSigmoid(x.neg()), e));
    }

    private static Tensor minusLogSigmoid(Tensor x) {
        return torch.log_sigmoid(x).neg();
    }

    private static Tensor sorted(Tensor x) {
        return torch.sort(x).get0();
    }

    private static Tensor one() {
        return Tensor.create(new double[] {1}, 1);
    }

    private static Tensor times(Tensor x, double factor) {
        return x.mul(new Scalar(factor));
    }

    private static Tensor plus(Tensor x, double term) {
        return x.add(new Scalar(term));
    }
}
