package dev.logratio.bench;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/** The operations as trainers write them with eager tensors. Intermediates belong to the caller's PointerScope. */
final class TorchFormulas {
    private TorchFormulas() {}

    /** {@code log_softmax(logits)[labels]}: logits [...,V], labels [...]. */
    static Tensor tokenLogps(Tensor logits, Tensor labels) {
        return pick(torch.log_softmax(logits, -1), labels);
    }

    /** The label's column of each row. */
    static Tensor pick(Tensor rows, Tensor labels) {
        return rows.gather(-1, labels.unsqueeze(-1)).squeeze(-1);
    }

    /** Entropy in nats from log-probs [...,V]. */
    static Tensor entropy(Tensor logProbs) {
        return logProbs.exp().mul(logProbs).sum(-1).neg();
    }

    /** Index of the largest logit of each row. */
    static Tensor argmax(Tensor logits) {
        return logits.argmax(new LongOptional(-1), false);
    }

    /** {@code (pc - pr) - (rc - rr)}. */
    static Tensor logRatio(Tensor policyChosen, Tensor policyRejected, Tensor referenceChosen, Tensor referenceRejected) {
        return policyChosen.sub(policyRejected).sub(referenceChosen.sub(referenceRejected));
    }

    /** dlrml: z = betaKl*rho and m = sigmoid(betaMix*rho/tau); a value a pair. */
    static Tensor dlrml(Tensor rho, Tensor betaKl, Tensor betaMix, Tensor tau) {
        return blend(rho.mul(betaKl), rho.mul(betaMix).div(tau).sigmoid());
    }

    /** {@code (1-m)(-log sigmoid(z)) + m exp(-z)}: discopop and dlrml for a gate m. */
    static Tensor blend(Tensor z, Tensor gate) {
        Tensor logistic = torch.log_sigmoid(z).neg();
        return logistic.add(gate.mul(z.neg().exp().sub(logistic)));
    }

    /** {@code -(1-e) log sigmoid(beta rho) - e log sigmoid(-beta rho)}; a value a pair. */
    static Tensor sigmoid(Tensor rho, Tensor beta, double smoothing) {
        Tensor z = rho.mul(beta);
        Tensor kept = torch.log_sigmoid(z).mul(new Scalar(smoothing - 1));
        return smoothing == 0 ? kept : kept.sub(torch.log_sigmoid(z.neg()).mul(new Scalar(smoothing)));
    }
}
