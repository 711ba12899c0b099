package dev.logratio.cli;

import dev.logratio.DType;
import dev.logratio.PairLoss;
import dev.logratio.Tensor;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.KtoPair;
import dev.logratio.loss.Loss;

import java.util.List;

/** {@code pair_loss}: log-probs of pairs to losses and every gradient. */
final class PairLossOperation extends Operation {
    private static final Input POLICY_CHOSEN =
            Input.required("policy_chosen", Elements.FLOATS, "P");
    private static final Input POLICY_REJECTED =
            Input.required("policy_rejected", Elements.FLOATS, "P");
    private static final Input REFERENCE_CHOSEN =
            Input.of("reference_chosen", Elements.FLOATS, Presence.REFERENCE, "P");
    private static final Input REFERENCE_REJECTED =
            Input.of("reference_rejected", Elements.FLOATS, Presence.REFERENCE, "P");

    PairLossOperation() {
        super(
                "pair_loss",
                true,
                List.of(
                        POLICY_CHOSEN,
                        POLICY_REJECTED,
                        REFERENCE_CHOSEN,
                        REFERENCE_REJECTED,
                        Input.optional("chosen_counts", Elements.COUNTS, "P").orElse("1"),
                        Input.optional("rejected_counts", Elements.COUNTS, "P").orElse("1"),
                        Input.optional("grad_loss", Elements.FLOATS, "P")
                                .orElse(
                                        "1/P, the gradient of the mean; [2P] and 1/(2P) with"
                                                + " kto_pair"),
                        Input.of("beta_kl", Elements.FLOATS, Presence.OPTION, "1"),
                        Input.of("beta_mix", Elements.FLOATS, Presence.OPTION, "1"),
                        Input.of("tau", Elements.FLOATS, Presence.OPTION, "1")),
                List.of(Options.REFERENCE_FREE),
                List.of(
                        Output.value("loss", "P").noting("[2P] with kto_pair, chosen first"),
                        Output.value("chosen_rewards", "P"),
                        Output.value("rejected_rewards", "P"),
                        Output.gradient(POLICY_CHOSEN),
                        Output.gradient(POLICY_REJECTED),
                        Output.gradient(REFERENCE_CHOSEN),
                        Output.gradient(REFERENCE_REJECTED),
                        Output.optionGradient("beta"),
                        Output.optionGradient("beta_kl"),
                        Output.optionGradient("beta_mix"),
                        Output.optionGradient("tau")));
    }

    @Override
    List<Shape> shapes(String tensor, List<Shape> ofTable, Settings settings) {
        boolean ofLosses = tensor.equals("loss") || tensor.equals("grad_loss");
        return ofLosses && settings.hasLossOf(KtoPair.class) ? List.of(Shape.parse("2P")) : ofTable;
    }

    @Override
    void run(Call call) {
        PairLoss operation =
                PairLoss.of(
                                (Loss.Paired) call.loss(),
                                call.in("policy_chosen"),
                                call.in("policy_rejected"))
                        .gradLoss(call.in("grad_loss"))
                        .losses(call.out("loss"))
                        .rewards(call.out("chosen_rewards"), call.out("rejected_rewards"))
                        .gradPolicy(
                                call.out("grad_policy_chosen"), call.out("grad_policy_rejected"))
                        .gradBeta(call.out("grad_beta"))
                        .gradBetaKl(call.out("grad_beta_kl"))
                        .gradBetaMix(call.out("grad_beta_mix"))
                        .gradTau(call.out("grad_tau"));
        if (call.in("reference_chosen") != null) {
            operation
                    .reference(call.in("reference_chosen"), call.in("reference_rejected"))
                    .gradReference(
                            call.out("grad_reference_chosen"), call.out("grad_reference_rejected"));
        } else {
            operation.referenceFree();
        }
        if (call.in("chosen_counts") != null || call.in("rejected_counts") != null) {
            operation.counts(
                    countsOrOnes(call, "chosen_counts"), countsOrOnes(call, "rejected_counts"));
        }
        if (call.loss()
                instanceof
                Dlrml) { // whose options have these values too; of other losses they are options
            // alone
            operation.betaKl(call.in("beta_kl")).betaMix(call.in("beta_mix")).tau(call.in("tau"));
        }
        operation.run(call.backend());
    }

    private static Tensor countsOrOnes(Call call, String name) {
        if (call.in(name) != null) {
            return call.in(name);
        }
        Tensor ones = Tensor.zeros(call.arena(), DType.F32, call.in("policy_chosen").shape());
        ones.fill(1);
        return ones;
    }
}
