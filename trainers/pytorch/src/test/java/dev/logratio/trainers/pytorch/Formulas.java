package dev.logratio.trainers.pytorch;

import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Hinge;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sigmoid;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** The losses as one writes them in PyTorch, in Double: autograd of these is the oracle. */
final class Formulas {
    private Formulas() {}

    /** [B,T], 0 where the label is ignored. */
    static Tensor tokenLogps(Tensor logits, Tensor labels) {
        Tensor counted = labels.ne(new Scalar(Batch.IGNORE));
        return torch.log_softmax(logits.to(ScalarType.Double), -1)
                .gather(-1, labels.clamp_min(new Scalar(0)).unsqueeze(-1))
                .squeeze(-1)
                .mul(counted.to(ScalarType.Double));
    }

    /** [B] */
    private static Tensor ratios(Batch batch, Tensor logits) {
        return tokenLogps(logits, batch.labels())
                .sum(1)
                .sub(batch.reference().to(ScalarType.Double));
    }

    static Tensor of(Loss.Paired loss, Batch batch, Tensor logits) {
        Tensor ratios = ratios(batch, logits);
        long pairs = ratios.size(0) / 2;
        Tensor margin = ratios.narrow(0, 0, pairs).sub(ratios.narrow(0, pairs, pairs));
        return (switch (loss) {
                    case Sigmoid sigmoid -> minusLogSigmoid(times(margin, sigmoid.beta()));
                    case Hinge hinge -> one().sub(times(margin, hinge.beta())).relu();
                    case Dlrml dlrml -> {
                        Tensor gate = times(margin, dlrml.betaMix() / dlrml.tau()).sigmoid();
                        Tensor y = times(margin, dlrml.betaKl());
                        yield one().sub(gate).mul(minusLogSigmoid(y)).add(gate.mul(y.neg().exp()));
                    }
                    default -> throw new AssertionError(loss);
                })
                .mean();
    }

    static Tensor of(Kto kto, Batch batch, Tensor logits, Tensor chosen) {
        Tensor y = times(ratios(batch, logits), kto.beta()).sigmoid();
        return torch.where(chosen, one().sub(y), y).mean();
    }

    private static Tensor minusLogSigmoid(Tensor x) {
        return torch.log_sigmoid(x).neg();
    }

    private static Tensor one() {
        return Tensor.create(new double[] {1}, 1);
    }

    private static Tensor times(Tensor x, double factor) {
        return x.mul(new Scalar(factor));
    }
}
