package dev.logratio;

import dev.logratio.loss.AlphaPo;
import dev.logratio.loss.Aot;
import dev.logratio.loss.AotUnpaired;
import dev.logratio.loss.ApoDown;
import dev.logratio.loss.ApoZero;
import dev.logratio.loss.Aqfl;
import dev.logratio.loss.Aql;
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
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
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

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The losses that suites go through: each with its defaults, and with other values of each of its
 * options.
 */
final class TestLosses {
    private TestLosses() {}

    static Stream<Loss.Paired> withDefaults() {
        return Losses.ids(Loss.Paired.class).stream()
                .map(id -> Losses.of(Loss.Paired.class, id, Map.of()));
    }

    /** Options at which every part of a loss shows for log-ratios of about 1. */
    static List<Loss.Paired> withOtherOptions() {
        List<Loss.Paired> losses = new ArrayList<>();
        for (FDivergence f :
                List.of(
                        new FDivergence.ReverseKl(),
                        new FDivergence.ForwardKl(),
                        new FDivergence.Js(),
                        new FDivergence.Alpha(),
                        new FDivergence.Alpha(2.5),
                        new FDivergence.Alpha(1 + 1e-9))) {
            losses.add(new Dlrml(.3, .2, .15, Guard.NONE, f));
            losses.add(new DiscoPop(.3, .4, Variant.REPO, f));
            losses.add(new DiscoPop(.3, .4, Variant.OLD, f));
            losses.add(new Sigmoid(.7, .2, f));
            losses.add(new SigmoidNorm(.7, f));
            losses.add(new Hinge(.7, f));
            losses.add(new Ipo(.7, true, f));
            losses.add(new Ipo(.7, false, f));
            losses.add(new ExoPair(.7, .2, f));
            losses.add(new Robust(.7, .2, f));
        }
        losses.add(new Dlrml(.6, .01, .15).withGuard(Guard.CLAMP));
        losses.add(new Dlrml(.6, -.1, .15));
        losses.add(new NcaPair(.7));
        losses.add(new BcoPair(.7, -.4));
        losses.add(new SppoHard(.7));
        losses.add(new Aot(.7, .2));
        losses.add(new AotUnpaired(.7, .2));
        losses.add(new ApoZero(.7));
        losses.add(new ApoDown(.7));
        losses.add(new KtoPair(.7, false));
        losses.add(new KtoPair(.7, true));
        for (DiscoveredVariant variant : DiscoveredVariant.values()) {
            losses.add(new Dbaql(.3, .4, variant));
            losses.add(new Aql(.6, .4, variant));
            losses.add(new Aqfl(.6, .4, variant));
            losses.add(new Pfl(.6, .4, variant));
        }
        losses.add(new Padll(.7));
        losses.add(new Cell(.7));
        losses.add(new SimPo(1.5, .3, .2));
        losses.add(new AlphaPo(1.5, .3, .6, .2));
        losses.add(new AlphaPo(1.5, .3, 0, .2));
        for (Nll nll : Nll.values()) {
            losses.add(new Cpo(.7, .6, .2, nll));
            losses.add(new Orpo(.7, nll));
        }
        return losses;
    }

    static List<Loss.Paired> all() {
        return Stream.concat(withDefaults(), withOtherOptions().stream()).toList();
    }

    /** Whether a pair's loss depends on other pairs. */
    static boolean ofTheBatch(Loss.Paired loss) {
        return switch (loss) {
            case Aot aot -> true;
            case AotUnpaired aot -> true;
            case KtoPair kto -> true;
            case Dbaql dbaql -> true;
            case Aql aql -> true;
            case Aqfl aqfl -> true;
            case Cpo cpo -> cpo.nll() == Nll.TOKEN;
            case Orpo orpo -> orpo.nll() == Nll.TOKEN;
            default -> false;
        };
    }
}
