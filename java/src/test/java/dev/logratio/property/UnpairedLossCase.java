package dev.logratio.property;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.UnpairedLoss;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;

import java.util.Arrays;
import java.util.List;

/** Losses of single examples. */
record UnpairedLossCase(
        Draw draw,
        Loss.Unpaired loss,
        Tensor policy,
        Tensor reference,
        Tensor chosen,
        Tensor[] mismatched,
        Tensor gradLoss,
        DType output)
        implements PropertyCase {
    static UnpairedLossCase drawn(Draw draw) {
        Loss.Unpaired loss = RandomLoss.drawn(draw, Loss.Unpaired.class);
        int examples = draw.size(0, 1, 2, 3, 7, 33);
        double[] chosen = new double[examples];
        DType flag = draw.oneOf(DType.BOOL, DType.U8);
        Arrays.setAll(
                chosen, i -> draw.chance(.5) ? 0 : flag == DType.BOOL ? 1 : 1 + draw.below(255));
        double[][] logps = PairLossCase.logps(draw, examples, false);
        Tensor[] mismatched = null;
        if (loss instanceof Kto && draw.chance(.7)) {
            int others = draw.size(0, 1, 2, 33);
            double[][] otherLogps = PairLossCase.logps(draw, others, false);
            mismatched =
                    new Tensor[] {
                        draw.tensor(draw.wideFloat(), otherLogps[0], others),
                        draw.tensor(draw.wideFloat(), otherLogps[2], others)
                    };
        }
        return new UnpairedLossCase(
                draw,
                loss,
                draw.tensor(draw.oneOf(DType.F64, DType.F32, DType.BF16), logps[0], examples),
                draw.tensor(draw.wideFloat(), logps[2], examples),
                draw.tensor(flag, chosen, examples),
                mismatched,
                draw.chance(.5)
                        ? null
                        : draw.tensor(draw.wideFloat(), draw.upstreams(examples), examples),
                draw.wideFloat());
    }

    @Override
    public String description() {
        return "%s, policy_logps %s".formatted(loss, policy)
                + (mismatched == null ? "" : ", kl of " + mismatched[0])
                + (gradLoss == null ? "" : ", grad_loss");
    }

    @Override
    public List<Output> run(Backend backend) {
        DType dtype = backend == Backend.reference() ? DType.F64 : output;
        long examples = policy.size(0);
        Tensor losses = draw.zeros(dtype, examples);
        Tensor rewards = draw.zeros(dtype, examples);
        Tensor kl = draw.zeros(dtype, 1);
        Tensor gradPolicy = draw.zeros(dtype, examples);
        Tensor gradReference = draw.zeros(dtype, examples);
        UnpairedLoss call =
                UnpairedLoss.of(loss, policy, reference, chosen)
                        .losses(losses)
                        .rewards(rewards)
                        .kl(kl)
                        .gradPolicy(gradPolicy)
                        .gradReference(gradReference);
        if (mismatched != null) {
            call.klLogps(mismatched[0], mismatched[1]);
        }
        if (gradLoss != null) {
            call.gradLoss(gradLoss);
        }
        call.run(backend);
        return List.of(
                new Output("loss", losses),
                new Output("rewards", rewards),
                new Output("kl", kl),
                new Output("grad_policy_logps", gradPolicy),
                new Output("grad_reference_logps", gradReference));
    }
}
