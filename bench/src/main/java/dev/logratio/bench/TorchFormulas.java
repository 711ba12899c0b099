package dev.logratio.bench;

import dev.logratio.DivergenceKind;
import dev.logratio.ScoringRuleOptions;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * The operations as trainers write them with eager tensors. Intermediates belong to the caller's
 * PointerScope.
 */
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
    static Tensor logRatio(
            Tensor policyChosen,
            Tensor policyRejected,
            Tensor referenceChosen,
            Tensor referenceRejected) {
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
        return smoothing == 0
                ? kept
                : kept.sub(torch.log_sigmoid(z.neg()).mul(new Scalar(smoothing)));
    }

    /**
     * A divergence of each row of logits [N,V] with the same of another, with its default options.
     */
    static Tensor divergence(DivergenceKind kind, Tensor pLogits, Tensor qLogits) {
        Tensor logP = torch.log_softmax(pLogits, -1);
        Tensor logQ = torch.log_softmax(qLogits, -1);
        Tensor p = logP.exp();
        Tensor q = logQ.exp();
        return switch (kind) {
            case SCE -> p.mul(logQ).add(q.mul(logP)).sum(-1).neg();
            case JEFFREYS -> kl(p, logP, logQ).add(kl(q, logQ, logP));
            case KL_PQ -> kl(p, logP, logQ);
            case KL_QP -> kl(q, logQ, logP);
            case JS -> {
                Tensor logM = torch.logaddexp(logP, logQ).sub(new Scalar(Math.log(2)));
                yield kl(p, logP, logM).add(kl(q, logQ, logM)).mul(new Scalar(.5));
            }
            case L2 -> p.sub(q).square().sum(-1);
            case TVD -> p.sub(q).abs().sum(-1).mul(new Scalar(.5));
            case WASSERSTEIN1 -> p.sub(q).cumsum(-1).narrow(-1, 0, p.size(-1) - 1).abs().sum(-1);
            case COSINE ->
                    p.mul(q)
                            .sum(-1)
                            .div(p.square().sum(-1).mul(q.square().sum(-1)).sqrt())
                            .neg()
                            .add(new Scalar(1));
        };
    }

    private static Tensor kl(Tensor p, Tensor logP, Tensor logQ) {
        return p.mul(logP.sub(logQ)).sum(-1);
    }

    /**
     * A scoring rule in Selten's normalisation, without smoothing, as a loss of each row: logits
     * [N,V], labels [N].
     */
    static Tensor scoringRule(ScoringRuleOptions options, Tensor logits, Tensor labels) {
        Tensor logProbs = torch.log_softmax(logits, -1);
        Tensor logp = pick(logProbs, labels);
        double alpha = options.alpha();
        return switch (options.rule()) {
            case LOG -> logp.neg();
            case BRIER -> powerSum(logProbs, 2).sub(logp.exp().mul(new Scalar(2)));
            case SPHERICAL -> logp.exp().div(powerSum(logProbs, 2).sqrt()).neg();
            case POWER ->
                    powerSum(logProbs, alpha)
                            .mul(new Scalar(alpha - 1))
                            .sub(power(logp, alpha - 1).mul(new Scalar(alpha)));
            case PSEUDO_SPHERICAL ->
                    power(logp, alpha - 1)
                            .div(powerSum(logProbs, alpha).pow(new Scalar((alpha - 1) / alpha)))
                            .neg();
        };
    }

    private static Tensor power(Tensor logp, double exponent) {
        return logp.mul(new Scalar(exponent)).exp();
    }

    private static Tensor powerSum(Tensor logProbs, double exponent) {
        return exponent == 2 ? logProbs.exp().square().sum(-1) : power(logProbs, exponent).sum(-1);
    }
}
